// An app that installs the package and is built by Vite, as the first page of the README tells.

import assert from "node:assert/strict";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "vite";

import { noBrowser, visit, WEB } from "./browser.ts";

const APP = `
import { Detector } from "featherface";

const detector = await Detector.create();
const { faces } = await detector.detect(await (await fetch("/collage.jpg")).blob(), { size: 640 });
document.title = faces.length + " faces";
`;

describe("an app built by Vite", () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "featherface-app-"));
    const installed = join(folder, "node_modules", "featherface");
    const facts = JSON.parse(await readFile(new URL("package.json", WEB), "utf8")) as { files: string[] };
    for (const file of ["package.json", ...facts.files]) {
      await cp(new URL(file, WEB), join(installed, file), { recursive: true });
    }
    await mkdir(join(folder, "public"));
    await cp(new URL("../assets/collage.jpg", WEB), join(folder, "public", "collage.jpg"));
    await writeFile(join(folder, "main.js"), APP);
    const script = '<script type="module" src="/main.js"></script>';
    await writeFile(join(folder, "index.html"), `<!doctype html><title>app</title>${script}`);
    await build({ root: folder, logLevel: "error", configFile: false });
  });

  after(() => rm(folder, { recursive: true, force: true }));

  test("carries the files of the package, and none for WebGPU that it does not ask for", async () => {
    const files = await readdir(join(folder, "dist", "assets"));
    for (const kind of [/^featherface-.*\.onnx$/, /^worker-.*\.js$/, /threaded-.*\.wasm$/]) {
      assert.equal(files.filter((file) => kind.test(file)).length, 1, `${kind}: ${files}`);
    }
    assert.ok(!files.some((file) => file.includes("asyncify")), `${files}`);
  });

  test("finds faces", { skip: noBrowser }, async () => {
    const { page, address, complaints, end } = await visit(pathToFileURL(`${folder}/dist/`).href);
    try {
      await page.goto(address);
      await page.waitForFunction(() => /^[1-9]\d* faces$/.test(document.title));
      assert.deepEqual(complaints.filter((text) => !text.includes("404")), []); // it has no icon
    } finally {
      await end();
    }
  });
});
