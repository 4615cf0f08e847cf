// The benchmark in Chromium: node build/bench/run.js YUNET ROUNDS; prints one JSON object.
// `python benchmarks/web.py` calls it, and keeps the rows.

import { readFile, stat } from "node:fs/promises";
import { brotliCompressSync, constants } from "node:zlib";

import { visit, WEB } from "../tests/browser.ts";
import type { Race, Result } from "./messages.ts";

const [yunet, rounds] = [process.argv[2]!, Number(process.argv[3])];
const REPEATS = 3;

/** From an empty browser to faces in the example; the bytes are those of all connections. */
async function firstLoad() {
  const { page, address, sent, end } = await visit("site/");
  const start = performance.now();
  await page.goto(address);
  await page.waitForFunction(() => /faces? in/.test(document.querySelector("#status")!.textContent!));
  const seconds = (performance.now() - start) / 1000;
  await page.waitForFunction(() => document.querySelector("#offline")?.textContent);
  const bytes = sent();
  await end();
  const size = async (file: string) => (await stat(new URL(`site/${file}`, WEB))).size;
  const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } };
  return {
    first_load_bytes: bytes,
    first_faces_s: seconds,
    wasm_bytes: await size("featherface/ort-wasm-simd-threaded.wasm.br"),
    model_bytes: await size("featherface/featherface.onnx.br"),
    example_bytes: await size("collage.jpg"),
    yunet_bytes: brotliCompressSync(await readFile(yunet), quality).length,
  };
}

async function race() {
  const { page, context, address, end } = await visit("./");
  try {
    await page.goto(`${address}page/icon.svg`);
    await page.route("**/yunet.onnx", (route) => route.fulfill({ path: yunet }));
    const result = await page.evaluate(
      async ([rounds, repeats]) => {
        const bytes = async (file: string) => new Uint8Array(await (await fetch(file)).arrayBuffer());
        const bitmap = await createImageBitmap(await (await fetch("/site/collage.jpg")).blob());
        const side = Math.min(bitmap.width, bitmap.height); // a square: YuNet's file wants one
        const pen = new OffscreenCanvas(side, side).getContext("2d")!;
        pen.drawImage(bitmap, 0, 0);
        const plan: Race = {
          ours: await bytes("/dist/featherface.onnx"),
          yunet: await bytes("/yunet.onnx"),
          script: new URL("/dist/ort-wasm-simd-threaded.mjs", location.href).href,
          wasm: new URL("/dist/ort-wasm-simd-threaded.wasm", location.href).href,
          picture: { rgba: pen.getImageData(0, 0, side, side).data, width: side, height: side },
          rounds: rounds!,
          repeats: repeats!,
        };
        const worker = new Worker("/build/bench/worker.js", { type: "module" });
        return new Promise<Result>((resolve, reject) => {
          worker.onmessage = ({ data }) => resolve(data as Result);
          worker.onerror = (event) => reject(new Error(event.message));
          worker.postMessage(plan);
        });
      },
      [rounds, REPEATS],
    );
    return { ...result, chromium: context.browser()?.version() ?? "" };
  } finally {
    await end();
  }
}

const load = await firstLoad();
const { version } = JSON.parse(
  await readFile(new URL("node_modules/onnxruntime-web/package.json", WEB), "utf8"),
) as { version: string };
const times = await race();
const told = { rounds, repeats: REPEATS, onnxruntime_web: version, ...load, ...times };
process.stdout.write(JSON.stringify(told));
