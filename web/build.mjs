// Makes dist/ (the package), site/ (the page) and, with --tests, build/ (tests and benchmark).

import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { brotliCompress, constants } from "node:zlib";
import { execFileSync } from "node:child_process";
import { build } from "esbuild";

import { META } from "./policy.mjs";

const ROOT = new URL("../", import.meta.url);
const HERE = new URL("./", import.meta.url);
const WEIGHTS = new URL("src/featherface/weights/", ROOT);
const ORT = new URL("node_modules/onnxruntime-web/dist/", HERE);

const shared = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // licences travel in NOTICE
  logLevel: "warning",
  absWorkingDir: new URL(".", HERE).pathname,
};

/** The network that Python takes by default, unharmed. */
async function shippedModel() {
  const table = await readFile(new URL("__init__.py", WEIGHTS), "utf8");
  const name = /^DEFAULT = "(.+)"$/m.exec(table)?.[1];
  const content = await readFile(new URL(`${name}.onnx`, WEIGHTS));
  const digest = createHash("sha256").update(content).digest("hex");
  const sums = await readFile(new URL("SHA256SUMS", WEIGHTS), "utf8");
  if (!sums.includes(`${digest}  ${name}.onnx`)) {
    throw new Error(`${name}.onnx: is not what src/featherface/weights/SHA256SUMS says`);
  }
  return content;
}

/** A worker for each flavour of ONNX Runtime; its own script and WebAssembly stay files. */
function worker(name, entry, provider) {
  return build({
    ...shared,
    entryPoints: { [name]: entry },
    outdir: "dist",
    conditions: ["onnxruntime-web-use-extern-wasm"],
    define: { PROVIDER: JSON.stringify(provider) },
    alias: { "onnxruntime-web/wasm": `onnxruntime-web/${provider}` },
  });
}

async function buildPackage() {
  await rm(new URL("dist", HERE), { recursive: true, force: true });
  await build({
    ...shared,
    entryPoints: ["src/index.ts", "src/webgpu.ts"],
    outdir: "dist",
  });
  await worker("worker", "src/worker.ts", "wasm");
  await worker("worker-webgpu", "src/worker.ts", "webgpu");
  for (const flavour of ["", ".asyncify"]) {
    for (const ending of ["mjs", "wasm"]) {
      const file = `ort-wasm-simd-threaded${flavour}.${ending}`;
      await cp(new URL(file, ORT), new URL(`dist/${file}`, HERE));
    }
  }
  await writeFile(new URL("dist/featherface.onnx", HERE), await shippedModel());
  for (const file of ["LICENSE", "NOTICE"]) await cp(new URL(file, ROOT), new URL(`dist/${file}`, HERE));
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-p", "tsconfig.types.json"], {
    cwd: HERE,
    stdio: "inherit",
  });
}

async function buildSite() {
  const site = new URL("site/", HERE);
  await rm(site, { recursive: true, force: true });
  await mkdir(site);
  await cp(new URL("dist/", HERE), new URL("featherface/", site), {
    recursive: true,
    filter: (path) => !path.endsWith(".d.ts"),
  });
  await build({
    ...shared,
    entryPoints: ["page/main.ts", "page/page.css"],
    outdir: "site",
    alias: { featherface: "./featherface/index.js", "featherface/webgpu": "./featherface/webgpu.js" },
    external: ["./featherface/*"],
  });
  const html = await readFile(new URL("page/index.html", HERE), "utf8");
  await writeFile(new URL("index.html", site), html.replace("@POLICY@", META));
  for (const file of ["icon.svg", "manifest.webmanifest"]) {
    await cp(new URL(`page/${file}`, HERE), new URL(file, site));
  }
  await cp(new URL("assets/collage.jpg", ROOT), new URL("collage.jpg", site));
  await buildServiceWorker(site);
  await compress(site);
}

/** The list of files and its hash go into the service worker: another content, another version. */
async function buildServiceWorker(site) {
  const files = (await readdir(site, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.replace(site.pathname, "").replace(/^\/+/, ""))
    .filter((file) => !/LICENSE|NOTICE|asyncify|worker-webgpu/.test(file))
    .sort();
  const hash = createHash("sha256");
  for (const file of files) hash.update(file).update(await readFile(new URL(file, site)));
  await build({
    ...shared,
    entryPoints: ["page/sw.ts"],
    outdir: "site",
    define: {
      FILES: JSON.stringify(["./", ...files.filter((file) => file !== "index.html")]),
      VERSION: JSON.stringify(hash.digest("hex").slice(0, 12)),
    },
  });
}

/** Beside each file its Brotli form, which servers may send: a third of the first load. */
async function compress(site) {
  const brotli = promisify(brotliCompress);
  for (const entry of await readdir(site, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\.jpg$|asyncify/.test(entry.name)) continue;
    const path = `${entry.parentPath}/${entry.name}`;
    const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 };
    await writeFile(`${path}.br`, await brotli(await readFile(path), { params }));
  }
}

async function buildTests() {
  await rm(new URL("build", HERE), { recursive: true, force: true });
  const tests = (await readdir(new URL("tests", HERE))).filter((file) => file.endsWith(".ts"));
  await build({
    ...shared,
    minify: false,
    platform: "node",
    packages: "external",
    entryPoints: [...tests.map((file) => `tests/${file}`), "bench/run.ts"],
    outdir: "build",
    outbase: ".",
  });
  await build({
    ...shared,
    entryPoints: ["bench/worker.ts"],
    outdir: "build/bench",
    conditions: ["onnxruntime-web-use-extern-wasm"],
  });
}

if (process.argv.includes("--tests")) {
  await buildTests();
} else {
  await buildPackage();
  await buildSite();
}
