// WebGPU on a graphics processor that Chromium imitates: the same faces, at no speed to speak of.

import assert from "node:assert/strict";
import { test } from "node:test";

import { noBrowser, visit } from "./browser.ts";

const FLAGS = "--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader --enable-features=Vulkan";

const skip =
  noBrowser || (process.env["SLOW"] ? false : "takes a minute; npm run test:slow includes it");

test("WebGPU finds the faces that WebAssembly finds", { skip }, async (context) => {
  const { page, address, end } = await visit("site/", { args: FLAGS.split(" ") });
  try {
    await page.goto(`${address}icon.svg`);
    if (!(await page.evaluate(async () => !!(await navigator.gpu?.requestAdapter())))) {
      return context.skip("needs a Chromium that imitates a graphics processor");
    }
    const [wanted, found] = await page.evaluate(async () => {
      const addresses = ["/featherface/index.js", "/featherface/webgpu.js"];
      const { Detector, wasm } = (await import(addresses[0]!)) as typeof import("../src/index.ts");
      const { webgpu } = (await import(addresses[1]!)) as typeof import("../src/webgpu.ts");
      const picture = await createImageBitmap(await (await fetch("/collage.jpg")).blob(), 0, 0, 380, 380);
      const all = [];
      for (const backend of [wasm, webgpu]) {
        const detector = await Detector.create({ backend });
        all.push((await detector.detect(picture, { size: 160 })).faces);
        detector.close();
      }
      return all;
    });
    assert.ok(wanted!.length > 0);
    assert.equal(found!.length, wanted!.length);
    wanted!.forEach(({ box }, face) => {
      box.forEach((value, k) => assert.ok(Math.abs(value - found![face]!.box[k]!) < 0.5));
    });
  } finally {
    await end();
  }
});
