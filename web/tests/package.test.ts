// The package in a page without a bundler: every kind of picture, errors, memory.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";

import { noBrowser, visit, WEB, type Visit } from "./browser.ts";

type Package = typeof import("../src/index.ts");
declare const featherface: Package; // put there by `before`

describe("the package", { skip: noBrowser }, () => {
  let here: Visit;

  before(async () => {
    const args = ["--enable-blink-features=ForceEagerMeasureMemory"]; // else it waits for a while
    here = await visit("site/", { args });
    await here.page.goto(`${here.address}icon.svg`);
    await here.page.evaluate(async () => {
      const address = "/featherface/index.js";
      const scope = globalThis as unknown as { featherface: Package; picture: Blob };
      scope.featherface = (await import(address)) as Package;
      scope.picture = await (await fetch("/collage.jpg")).blob();
    });
  });

  after(() => here.end());

  test("gives the same faces for every kind of picture", async () => {
    const found = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const bitmap = await createImageBitmap(picture);
      const draw = <T extends HTMLCanvasElement | OffscreenCanvas>(canvas: T): T => {
        (canvas.getContext("2d") as CanvasRenderingContext2D).drawImage(bitmap, 0, 0);
        return canvas;
      };
      const canvas = document.createElementNS("http://www.w3.org/1999/xhtml", "canvas") as HTMLCanvasElement;
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      draw(canvas);
      const image = document.createElementNS("http://www.w3.org/1999/xhtml", "img") as HTMLImageElement;
      image.src = "/collage.jpg";
      const sources = {
        blob: picture,
        file: new File([picture], "collage.jpg"),
        bitmap,
        canvas,
        offscreen: draw(new OffscreenCanvas(bitmap.width, bitmap.height)),
        pixels: canvas.getContext("2d")!.getImageData(0, 0, bitmap.width, bitmap.height),
        frame: new VideoFrame(canvas, { timestamp: 0 }),
        image,
      };
      const detector = await featherface.Detector.create({ size: 640 });
      const entries = await Promise.all(
        Object.entries(sources).map(async ([kind, source]) => [kind, await detector.detect(source)] as const),
      );
      detector.close();
      sources.frame.close();
      return { found: Object.fromEntries(entries), isStillThere: bitmap.width > 0 };
    });
    const { blob } = found.found;
    assert.ok(blob!.faces.length > 5);
    assert.ok(found.isStillThere, "the caller's bitmap was taken away");
    for (const [kind, { width, height, faces }] of Object.entries(found.found)) {
      assert.deepEqual([width, height], [blob!.width, blob!.height], kind);
      assert.deepEqual(faces, blob!.faces, kind);
    }
  });

  test("a score and a size given to detect go before those given to create", async () => {
    const [few, many, plain] = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const detector = await featherface.Detector.create({ score: 0.9, size: 640 });
      const looks = [{}, { score: 0.3 }, { score: 0.9, size: 640 }];
      const found = [];
      for (const look of looks) found.push((await detector.detect(picture, look)).faces);
      detector.close();
      return found;
    });
    assert.ok(few!.every(({ score }) => score > 0.9));
    assert.ok(many!.every(({ score }) => score > 0.3) && many!.length >= few!.length);
    assert.deepEqual(plain, few);
    const scores = many!.map(({ score }) => score);
    assert.deepEqual(scores, [...scores].sort((a, b) => b - a));
  });

  test("errors name the picture and what to do", async () => {
    const messages = await here.page.evaluate(async () => {
      const { Detector } = featherface;
      const detector = await Detector.create();
      const tell = (act: () => Promise<unknown>) =>
        act().then(() => "no error", (error: Error) => `${error.name}: ${error.message}`);
      const told = [
        await tell(() => detector.detect(new File(["no picture"], "notes.txt", { type: "text/plain" }))),
        await tell(() => detector.detect(new File([], "empty.png"))),
        await tell(() => detector.detect("collage.jpg" as unknown as Blob)),
        await tell(() => detector.detect(document.createElementNS("http://www.w3.org/1999/xhtml", "video") as HTMLVideoElement)),
        await tell(() => detector.detect(new ImageData(8, 8), { score: 2 })),
        await tell(() => detector.detect(new ImageData(8, 8), { size: 0.5 })),
        await tell(() => detector.detect(new ImageData(8, 8), { size: 100_000 })),
        await tell(() => Detector.create({ threads: 0 })),
        await tell(() => Detector.create({ model: "/nothing.onnx" })),
        await tell(() => Detector.create({ model: "/collage.jpg" })),
        await tell(() => Detector.create({ backend: [] })),
      ];
      const late = tell(() => detector.detect(new ImageData(8, 8)));
      detector.close();
      return [...told, await late, await tell(() => detector.detect(new ImageData(8, 8)))];
    });
    const expected = [
      /^Error: notes\.txt: is broken, or of a kind \(text\/plain\)/,
      /^Error: empty\.png: is empty/,
      /^TypeError: .*String.* is no picture; wanted a Blob, HTMLImageElement/,
      /^Error: .*HTMLVideoElement.* shows no frame yet/,
      /^RangeError: score is 2, wanted 0 to 1/,
      /^RangeError: size is 0\.5/,
      /^RangeError: the ImageData given: has 8 x 8 pixels.*give a size below 4096/,
      /^RangeError: threads is 0/,
      /^Error: nothing\.onnx: cannot be loaded from .*404/,
      /^Error: collage\.jpg: cannot be opened/,
      /^Error: none of the backends/,
      /^Error: the detector was closed/,
      /^Error: the detector was closed/,
    ];
    messages.forEach((message, index) => assert.match(message, expected[index]!));
    assert.equal(messages.length, expected.length);
  });

  test("one broken picture among many fails alone", async () => {
    const outcomes = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const detector = await featherface.Detector.create({ size: 320 });
      const all = [picture, new File(["x"], "x.jpg"), picture].map((each) => detector.detect(each));
      const settled = await Promise.allSettled(all);
      detector.close();
      return settled.map(({ status }) => status);
    });
    assert.deepEqual(outcomes, ["fulfilled", "rejected", "fulfilled"]);
  });

  test("transparent pixels are laid on white", async () => {
    const [clear, white] = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const bitmap = await createImageBitmap(picture);
      const detector = await featherface.Detector.create({ size: 640 });
      const found = [];
      for (const ground of ["transparent", "white"]) {
        const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
        const pen = canvas.getContext("2d")!;
        pen.fillStyle = ground;
        pen.fillRect(0, 0, canvas.width, canvas.height);
        pen.drawImage(bitmap, 0, 0, canvas.width / 2, canvas.height / 2);
        found.push((await detector.detect(await canvas.convertToBlob({ type: "image/png" }))).faces);
      }
      detector.close();
      return found;
    });
    assert.ok(clear!.length);
    assert.deepEqual(clear, white);
  });

  test("the page goes on with its work while a picture is looked at", async () => {
    const ticks = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const detector = await featherface.Detector.create({ size: 1600 });
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      await detector.detect(picture);
      clearInterval(timer);
      detector.close();
      return ticks;
    });
    assert.ok(ticks > 5, `the page got ${ticks} turns`);
  });

  test("memory does not grow with the number of pictures, and closing gives it back", async () => {
    const used = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const gauge = performance as unknown as {
        measureUserAgentSpecificMemory(): Promise<{ bytes: number }>;
      };
      const measure = async () => (await gauge.measureUserAgentSpecificMemory()).bytes / 1e6;
      const before = await measure();
      const detector = await featherface.Detector.create({ size: 320 });
      const used = [];
      for (let round = 0; round < 2; round++) {
        for (let k = 0; k < 8; k++) await detector.detect(picture);
        used.push(await measure());
      }
      detector.close();
      await new Promise((resolve) => setTimeout(resolve, 500));
      return [before, ...used, await measure()].map(Math.round);
    });
    const [before, early, late, closed] = used as [number, number, number, number];
    assert.ok(early > before + 5, `nothing was measured: ${used} MB`);
    assert.ok(late < early + 10, `eight more pictures took more: ${used} MB`);
    assert.ok(closed < before + 10, `closing gave nothing back: ${used} MB`);
  });

  test("more threads than one give the same faces, where the page may have them", async () => {
    const [one, two] = await here.page.evaluate(async () => {
      const { picture } = globalThis as unknown as { picture: Blob };
      const found = [];
      for (const threads of [1, 2]) {
        const detector = await featherface.Detector.create({ size: 640, threads });
        found.push((await detector.detect(picture)).faces);
        detector.close();
      }
      return found;
    });
    assert.equal(one!.length, two!.length);
    one!.forEach(({ box }, face) => {
      box.forEach((value, k) => assert.ok(Math.abs(value - two![face]!.box[k]!) < 0.01));
    });
  });

  test("of several ways to compute those are left out that this machine has not", async () => {
    const kept = await here.page.evaluate(async () => {
      const address = "/featherface/webgpu.js";
      const { webgpu } = (await import(address)) as typeof import("../src/webgpu.ts");
      const detector = await featherface.Detector.create({ backend: [webgpu, featherface.wasm] });
      detector.close();
      return detector.backend;
    });
    assert.equal(kept, "WebAssembly");
    assert.ok(!here.requests.some((url) => url.includes("asyncify")), "WebGPU's files were loaded");
  });

  test("of several ways that are there the one that takes less time is kept", async () => {
    const kept = await here.page.evaluate(async () => {
      const { wasm, Detector } = featherface;
      const slow = new Blob([`
        self.onmessage = ({ data: { kind, id } }) => setTimeout(() => self.postMessage(kind === "open"
          ? { kind: "opened", id }
          : { kind: "found", id, found: { width: 640, height: 640, faces: [], milliseconds: 1e6 } }));
      `], { type: "text/javascript" });
      const other = { ...wasm, name: "slow", start: () => new Worker(URL.createObjectURL(slow)) };
      const names = [];
      for (const backend of [[other, wasm], [wasm, other]]) {
        const detector = await Detector.create({ backend });
        names.push(detector.backend);
        detector.close();
      }
      return names;
    });
    assert.deepEqual(kept, ["WebAssembly", "WebAssembly"]);
  });

  test("carries the network that Python takes, once", async () => {
    const [inPackage, inSite] = await Promise.all(
      ["dist/featherface.onnx", "site/featherface/featherface.onnx"].map((f) => readFile(new URL(f, WEB))),
    );
    assert.ok(inPackage!.equals(inSite!));
  });
});
