// The webcam, played by a film that is made of the repository's portrait.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { noBrowser, visit, WEB, type Visit } from "./browser.ts";

const FRAMES = 10;

describe("the webcam", { skip: noBrowser }, () => {
  let here: Visit;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "featherface-web-"));
    const film = join(folder, "film.mjpeg"); // one JPEG file after the other
    const frame = await readFile(new URL("../assets/astronaut.jpg", WEB));
    await writeFile(film, Buffer.concat(Array<Buffer>(FRAMES).fill(frame)));
    here = await visit("site/", {
      permissions: ["camera"],
      args: [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        `--use-file-for-fake-video-capture=${film}`,
      ],
    });
    await here.page.goto(here.address);
    await here.page.waitForFunction(() => /faces? in/.test(document.querySelector("#status")!.textContent!));
  });

  after(async () => {
    await here.end();
    await rm(folder, { recursive: true, force: true });
  });

  test("shows frames with the faces in them, until it is stopped", async () => {
    const { page } = here;
    await page.click("#camera");
    await page.waitForFunction(() => /^[1-9]\d* faces?, \d+ ms/.test(document.querySelector<HTMLElement>("#frame")!.dataset["live"] ?? ""));
    assert.equal(await page.textContent("#camera"), "Stop webcam");
    assert.match((await page.getAttribute("#canvas", "aria-label"))!, /^Webcam with [1-9]/);
    await page.click("#camera");
    assert.equal(await page.textContent("#camera"), "Start webcam");
    await page.waitForFunction(() => /^example\.jpg: /.test(document.querySelector("#status")!.textContent!));
    assert.deepEqual(here.complaints, []);
  });

  test("a frame can be kept as a picture", async () => {
    const { page } = here;
    await page.click("#camera");
    await page.click("#snap");
    await page.waitForFunction(() => /^webcam-1\.png: [1-9]/.test(document.querySelector("#status")!.textContent!));
    assert.equal(await page.textContent("#camera"), "Start webcam");
    assert.ok(await page.isEnabled("#save-picture"));
  });

  test("a camera that is refused is told, with what to do", async () => {
    const { page } = here;
    await page.evaluate(() => {
      navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("no", "NotAllowedError"));
    });
    await page.click("#camera");
    await page.waitForFunction(() => /refused\. Allow it/.test(document.querySelector("#status")!.textContent!));
    assert.equal(await page.textContent("#camera"), "Start webcam");
  });
});
