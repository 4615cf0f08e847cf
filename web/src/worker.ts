// The worker: decodes, fits and looks at one picture after the other, away from the page.

import { toPicture, type Detections, type Raw } from "./faces.ts";
import { fit, type Fitted } from "./fit.ts";
import { addLargeFaces } from "./large.ts";
import type { Answer, Question, Sent } from "./messages.ts";
import { Network, OVERLAP } from "./network.ts";
import { reader } from "./pixels.ts";
import { longSide, type Size } from "./size.ts";
import { reason } from "./source.ts";

declare const PROVIDER: "wasm" | "webgpu"; // put in by the build, which makes a worker for each

let network: Network | null = null;
let turn: Promise<unknown> = Promise.resolve(); // the graph looks at one picture at a time

self.addEventListener("message", ({ data }: MessageEvent<Question>) => {
  turn = turn.then(async () => self.postMessage(await answer(data)));
});

async function answer(question: Question): Promise<Answer> {
  const { id } = question;
  try {
    if (question.kind === "open") {
      const { model, name, script, wasm, threads } = question;
      network = await open(model, name, { script, wasm, threads, provider: PROVIDER });
      return { kind: "opened", id };
    }
    const { picture, name, score, size } = question;
    return { kind: "found", id, found: await detect(picture, name, score, size) };
  } catch (error) {
    const kind = error instanceof RangeError ? "RangeError" : "Error";
    return { kind: "failed", id, message: reason(error), error: kind };
  }
}

async function open(...[model, name, runtime]: Parameters<typeof Network.open>): Promise<Network> {
  try {
    return await Network.open(model, name, runtime);
  } catch (error) {
    const text = reason(error);
    throw text.startsWith(name)
      ? error
      : new Error(`${name}: cannot be opened (${text.split("\n")[0]}); ONNX Runtime's files ` +
          `are looked for at ${runtime.script} and ${runtime.wasm}`);
  }
}

async function detect(
  picture: Sent,
  name: string,
  score: number,
  size: Size | undefined,
): Promise<Detections> {
  const start = performance.now();
  const bitmap = picture instanceof Blob ? await decode(picture, name) : picture;
  try {
    const { width, height } = bitmap;
    const fitted = fit(reader(bitmap), width, height, longSide(width, height, size, name));
    const look = async (input: Fitted) =>
      toPicture(await run(input, score, name), width, height, input.scale);
    const faces = await addLargeFaces(look, fitted, await look(fitted), OVERLAP);
    return { width, height, faces, milliseconds: performance.now() - start };
  } finally {
    bitmap.close();
  }
}

async function run(input: Fitted, score: number, name: string): Promise<Raw> {
  if (!network) throw new Error("the detector is not open");
  try {
    return await network.run(input, score);
  } catch (error) {
    throw new Error(`${name}: the network failed (${reason(error)}); try a smaller size`);
  }
}

/** Upright, and the numbers of the file as they are, as Python reads them. */
async function decode(file: Blob, name: string): Promise<ImageBitmap> {
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    const what = file.size === 0 ? "is empty" : `is broken, or of a kind (${file.type || "unknown"}) ` +
      "that this browser cannot decode";
    throw new Error(`${name}: ${what}; wanted a JPEG, PNG, WebP, AVIF, GIF or BMP file`);
  }
}
