// The page: what the visitor brings goes to the detector, what it finds to the stage.

import { Detector, wasm, type Detections, type Size } from "featherface";
import { webgpu } from "featherface/webgpu";

import { openCamera, type Camera } from "./camera.ts";
import { elements as page } from "./elements.ts";
import { listen } from "./intake.ts";
import { count, decode, facesOf, LOWEST, newPicture, type Picture } from "./picture.ts";
import { saveJson, savePicture } from "./save.ts";
import { Stage, type View } from "./stage.ts";
import { Strip } from "./strip.ts";
import { fill } from "./table.ts";

const LIVE_SIDE = 640; // of webcam frames
const THREADS = crossOriginIsolated ? Math.min(4, Math.ceil(navigator.hardwareConcurrency / 2)) : 1;

const pictures: Picture[] = [];
const stage = new Stage(page.canvas, page.frame);
const strip = new Strip(page.pictures, (picture) => void select(picture));
let current: Picture | null = null;
let shown: { picture: Picture; bitmap: ImageBitmap } | null = null;
let computing = ""; // told where it is not the usual way
let camera: Camera | null = null;
let snapWanted = false;

let opened = Detector.create({ threads: THREADS });
opened.catch((error: Error) => say(error.message, true));

const score = () => Number(page.score.value);
const view = () => new FormData(page.controls).get("view") as View;
const size = (): Size | undefined =>
  page.size.value === "original" ? "original" : Number(page.size.value) || undefined;

function say(text: string, isBad = false): void {
  page.status.textContent = text;
  page.status.classList.toggle("bad", isBad);
}

function describe(picture: Picture, found: Detections): string {
  const faces = count(facesOf(picture, score()).length);
  const time = `${Math.round(found.milliseconds)} ms`;
  return `${picture.name}: ${faces} in ${found.width} × ${found.height} pixels, ${time}${computing}`;
}

/** Looks at a picture unless that has been done with this size. */
async function look(picture: Picture): Promise<void> {
  const wanted = size();
  if (picture.found && picture.size === wanted) return;
  try {
    const detector = await opened;
    const options = wanted === undefined ? {} : { size: wanted };
    picture.found = await detector.detect(picture.file, { score: LOWEST, ...options });
    picture.error = "";
    await strip.draw(picture);
  } catch (error) {
    picture.found = null;
    picture.error = (error as Error).message;
  }
  picture.size = wanted;
}

/** Makes a picture the large one. */
async function select(picture: Picture): Promise<void> {
  stopCamera();
  current = picture;
  strip.update(score(), current);
  await look(picture);
  if (current !== picture) return; // another one was pressed meanwhile
  if (picture.found) {
    const bitmap = await decode(picture);
    if (current !== picture) return bitmap.close();
    shown?.bitmap.close();
    shown = { picture, bitmap };
  }
  render();
}

/** Brings the page up to date with the controls. */
function render(): void {
  page.scoreValue.value = score().toFixed(2);
  page.caution.hidden = view() !== "blur";
  strip.update(score(), camera ? null : current);
  const found = current?.found;
  page.savePicture.disabled = !found || camera !== null;
  page.saveJson.disabled = !pictures.some((picture) => picture.found);
  if (camera || !current) return;
  if (current.error) {
    stage.clear(`${current.name}, which cannot be shown`);
    fill(page.rows, []);
    page.caption.textContent = "No faces";
    return say(current.error, true);
  }
  if (!found || shown?.picture !== current) return say("Looking…");
  const faces = facesOf(current, score());
  const label = `${current.name} with ${count(faces.length)}${view() === "blur" ? ", blurred" : ""}`;
  stage.show({ bitmap: shown.bitmap, width: found.width, faces, view: view() }, label);
  fill(page.rows, faces);
  page.caption.textContent = `${current.name}, in pixels, best score first`;
  say(describe(current, found));
}

/** Takes files in, shows the first and looks at the others after it. */
async function take(files: readonly { file: Blob; name: string }[]): Promise<void> {
  const added = files.map(({ file, name }) => newPicture(file, name));
  pictures.push(...added);
  for (const picture of added) strip.add(picture);
  const [first, ...others] = added;
  if (first) await select(first);
  for (const picture of others) {
    await look(picture);
    strip.update(score(), camera ? null : current);
  }
}

async function toggleCamera(): Promise<void> {
  if (camera) {
    stopCamera();
    if (current) void select(current);
    return;
  }
  let mine: Camera;
  try {
    page.camera.disabled = true;
    mine = camera = await openCamera();
  } catch (error) {
    return say((error as Error).message, true);
  } finally {
    page.camera.disabled = false;
  }
  page.camera.textContent = "Stop webcam";
  page.snap.hidden = false;
  render();
  say("Webcam on.");
  let live: ImageBitmap | null = null;
  try {
    await mine.run(async (frame) => {
      const found = await (await opened).detect(frame, { score: score(), size: LIVE_SIDE });
      if (camera !== mine) return frame.close();
      const label = `Webcam with ${count(found.faces.length)}`;
      stage.show({ bitmap: frame, width: frame.width, faces: found.faces, view: view() }, label);
      live?.close();
      live = frame;
      page.scoreValue.value = score().toFixed(2);
      page.caption.textContent = label;
      page.frame.dataset["live"] = `${count(found.faces.length)}, ${Math.round(found.milliseconds)} ms`;
      fill(page.rows, found.faces);
      if (snapWanted) await snap(frame);
    });
  } catch (error) {
    stopCamera();
    say((error as Error).message, true);
  }
}

/** Keeps the frame that is shown as a picture, and shows it. */
async function snap(frame: ImageBitmap): Promise<void> {
  snapWanted = false;
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext("2d")?.drawImage(frame, 0, 0);
  const file = await canvas.convertToBlob({ type: "image/png" });
  const number = pictures.filter(({ name }) => name.startsWith("webcam-")).length + 1;
  void take([{ file, name: `webcam-${number}.png` }]);
}

function stopCamera(): void {
  if (!camera) return;
  camera.stop();
  camera = null;
  delete page.frame.dataset["live"];
  page.camera.textContent = "Start webcam";
  page.snap.hidden = true;
}

/** Opens the detector anew, with the graphics processor in the running or without. */
async function change(): Promise<void> {
  const old = opened;
  say("Trying which is faster…");
  const backend = page.graphics.checked ? [wasm, webgpu] : wasm;
  opened = Detector.create({ threads: THREADS, backend });
  for (const picture of pictures) picture.found = null;
  await old.then((detector) => detector.close());
  const name = (await opened).backend;
  computing = page.graphics.checked ? ` by ${name}` : "";
  if (current && !camera) await select(current);
}

async function showExample(): Promise<void> {
  const response = await fetch("collage.jpg");
  if (response.ok && pictures.length === 0) {
    await take([{ file: await response.blob(), name: "example.jpg" }]);
  }
}

async function keepForOffline(): Promise<void> {
  if (!navigator.serviceWorker) return;
  const { installing } = await navigator.serviceWorker.register("sw.js");
  const kept = navigator.serviceWorker.ready.then(() => "This page now works without a network, too.");
  const refused = new Promise<string>((resolve) => {
    installing?.addEventListener("statechange", () => {
      // Browsers keep no file that is large beside the room on the disk.
      if (installing.state === "redundant") resolve("This page could not be kept for use without a network.");
    });
  });
  page.offline.textContent = await Promise.race([kept, refused]);
}

listen(page.choose, page.file, page.drop, (files) => {
  void take(files.map((file) => ({ file, name: file.name || "pasted.png" })));
});
page.camera.addEventListener("click", () => void toggleCamera());
page.snap.addEventListener("click", () => (snapWanted = true));
page.controls.addEventListener("submit", (event) => event.preventDefault());
page.controls.addEventListener("input", render);
page.size.addEventListener("change", () => current && !camera && void select(current));
page.graphics.addEventListener("change", () => {
  change().catch((error: Error) => say(error.message, true));
});
page.saveJson.addEventListener("click", () => saveJson(pictures, score()));
page.savePicture.addEventListener("click", () => {
  if (!current) return;
  const { name } = current;
  savePicture(current, score(), view()).catch((error: Error) =>
    say(`${name}: cannot be downloaded (${error.message})`, true),
  );
});
document.addEventListener("visibilitychange", () => document.hidden && stopCamera());

void webgpu.isThere?.().then((isThere) => (page.graphicsChoice.hidden = !isThere));
showExample()
  .then(keepForOffline)
  .catch((error: Error) => say(error.message, true));
