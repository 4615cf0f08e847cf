// The page as a visitor uses it, in a browser with nothing in it.

import assert from "node:assert/strict";
import { readFile, writeFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Download, Page } from "playwright-core";

import { noBrowser, noRoom, visit, WEB, type Visit } from "./browser.ts";

const ASSETS = new URL("../assets/", WEB);
const PORTRAIT = new URL("astronaut.jpg", ASSETS).pathname;
const COLLAGE = new URL("collage.jpg", ASSETS).pathname;

/** Waits until the status tells of faces in a picture of that name, and gives their number. */
async function faces(page: Page, name: string): Promise<number> {
  const told = await page.waitForFunction((name) => {
    const text = document.querySelector("#status")?.textContent ?? "";
    return text.startsWith(`${name}: `) && /: (\d+) faces? in/.exec(text)?.[1];
  }, name);
  return Number(await told.jsonValue());
}

async function content(download: Download): Promise<Buffer> {
  return readFile((await download.path())!);
}

/** A picture file as the browser sees it: its size, its last pixel's red, the largest step within. */
async function seen(page: Page, file: Buffer, [left, top, wide, tall]: number[]) {
  return page.evaluate(
    async ([text, left, top, wide, tall]) => {
      const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes]));
      const { width, height } = bitmap;
      const pen = new OffscreenCanvas(width, height).getContext("2d")!;
      pen.drawImage(bitmap, 0, 0);
      const { data } = pen.getImageData(left!, top!, wide!, tall!);
      let step = 0;
      for (let at = 4; at < data.length; at += 4) {
        if ((at / 4) % wide!) step = Math.max(step, Math.abs(data[at]! - data[at - 4]!));
      }
      return { size: [width, height], corner: pen.getImageData(0, height - 1, 1, 1).data[0]!, step };
    },
    [file.toString("base64"), left, top, wide, tall] as const,
  );
}

describe("the page", { skip: noBrowser }, () => {
  let here: Visit;
  let page: Page;

  before(async () => {
    here = await visit("site/", { viewport: { width: 1200, height: 900 } });
    page = here.page;
    await page.goto(here.address);
  });

  after(() => here.end());

  test("finds faces in an example at once, without an error", async () => {
    assert.ok((await faces(page, "example.jpg")) > 5);
    assert.match((await page.getAttribute("#canvas", "aria-label"))!, /example\.jpg with \d+ faces/);
    assert.deepEqual(here.complaints, []);
  });

  test("the slider changes what is found, by keys too, without another look", async () => {
    const before = await faces(page, "example.jpg");
    await page.focus("#score");
    await page.keyboard.press("Home");
    assert.equal(await page.textContent("#score-value"), "0.10");
    const many = await faces(page, "example.jpg");
    await page.keyboard.press("End");
    const few = await faces(page, "example.jpg");
    assert.ok(many >= before && before >= few && many > few, `${many} ${before} ${few}`);
    await page.fill("#score", "0.5");
    assert.equal(await faces(page, "example.jpg"), before);
  });

  test("the table says in words what the picture shows", async () => {
    const count = await faces(page, "example.jpg");
    await page.click("summary");
    assert.equal(await page.locator("#rows tr").count(), count);
    const [score, place, size] = await page.locator("#rows tr").first().locator("td").allTextContents();
    assert.match(score!, /^[01]\.\d\d$/);
    assert.match(place!, /^\d+, \d+$/);
    assert.match(size!, /^\d+ × \d+$/);
    await page.click("summary");
  });

  test("chosen pictures are looked at one after the other, and one that is none is told", async () => {
    const folder = await mkdtemp(join(tmpdir(), "featherface-web-"));
    const broken = join(folder, "broken.jpg");
    await writeFile(broken, "no picture");
    await page.setInputFiles("#file", [PORTRAIT, broken]);
    assert.ok((await faces(page, "astronaut.jpg")) >= 1);
    await page.waitForFunction(() => document.querySelector("#pictures")?.textContent?.includes("not read"));
    await page.click("#pictures li:nth-child(3) button");
    await page.waitForFunction(() =>
      document.querySelector("#status")?.textContent?.startsWith("broken.jpg: is broken"),
    );
    assert.ok(await page.isDisabled("#save-picture"));
    await page.click("#pictures li:nth-child(2) button");
    await faces(page, "astronaut.jpg");
    await rm(folder, { recursive: true });
  });

  test("pictures can be dropped and pasted", async () => {
    const text = (await readFile(PORTRAIT)).toString("base64");
    for (const kind of ["drop", "paste"]) {
      await page.evaluate(
        ([kind, text]) => {
          const bytes = Uint8Array.from(atob(text!), (letter) => letter.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], `${kind}.jpg`, { type: "image/jpeg" }));
          const common = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(
            kind === "drop"
              ? new DragEvent("drop", { ...common, dataTransfer: data })
              : new ClipboardEvent("paste", { ...common, clipboardData: data }),
          );
        },
        [kind, text],
      );
      assert.ok((await faces(page, `${kind}.jpg`)) >= 1);
    }
  });

  test("faces are told as the command line tells them, for all pictures", async () => {
    const count = await faces(page, "paste.jpg");
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
    assert.equal(download.suggestedFilename(), "faces.json");
    const told = JSON.parse((await content(download)).toString());
    assert.deepEqual(told.map(({ path }: { path: string }) => path), [
      "example.jpg", "astronaut.jpg", "broken.jpg", "drop.jpg", "paste.jpg",
    ]);
    assert.deepEqual(Object.keys(told[4]), ["path", "width", "height", "faces"]);
    assert.equal(told[4].faces.length, count);
    assert.deepEqual(Object.keys(told[4].faces[0]), ["box", "score", "landmarks"]);
    assert.match(told[2].error, /^broken\.jpg: /);
  });

  test("the downloaded picture has blurred faces and the rest as it was", async () => {
    await page.check("input[value=blur]");
    assert.ok(await page.isVisible("#caution"));
    const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save-picture")]);
    assert.equal(download.suggestedFilename(), "paste-blurred.jpg");
    const file = await content(download);
    assert.ok(!file.includes("Exif"));
    const numbers = async (cell: number) =>
      (await page.locator(`#rows tr td:nth-child(${cell})`).first().textContent())!.match(/\d+/g)!.map(Number);
    const box = [...(await numbers(3)), ...(await numbers(4))];
    const [blurred, original] = [await seen(page, file, box), await seen(page, await readFile(PORTRAIT), box)];
    assert.deepEqual(blurred.size, original.size);
    assert.ok(original.step > 60 && blurred.step < 20, `edges of ${original.step}, then ${blurred.step}`);
    assert.ok(Math.abs(blurred.corner - original.corner) < 12);
    await page.check("input[value=marks]");
  });

  test("another size is another look", async () => {
    await page.click("#pictures li:first-child button");
    const before = await faces(page, "example.jpg");
    await page.selectOption("#size", "640");
    await page.waitForFunction(
      (before) => !document.querySelector("#status")?.textContent?.includes(`: ${before} faces`),
      before,
    );
    assert.ok((await faces(page, "example.jpg")) < before);
    await page.selectOption("#size", "");
    await page.waitForFunction(
      (before) => document.querySelector("#status")?.textContent?.includes(`: ${before} faces`),
      before,
    );
  });

  test("everything can be reached and worked by keys, and has a name", async () => {
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    const reached = new Set<string>();
    for (let key = 0; key < 40; key++) {
      await page.keyboard.press("Tab");
      reached.add(await page.evaluate(() => {
        const at = document.activeElement as HTMLInputElement | null;
        return at?.id || at?.name || at?.textContent || "";
      }));
    }
    for (const id of ["choose", "camera", "score", "size", "view", "save-picture", "save-json"]) {
      assert.ok(reached.has(id), `${id} cannot be reached: ${[...reached]}`);
    }
    const snapshot = await page.locator("body").ariaSnapshot();
    for (const line of ['img "example.jpg with', 'button "Choose pictures', 'slider "Score above"',
      'combobox "Look at"', 'radio "Blurred faces"', 'heading "featherface"', "status"]) {
      assert.ok(snapshot.includes(line), `${line} is not among\n${snapshot}`);
    }
    assert.ok(!/(button|link|slider|combobox|radio)$/m.test(snapshot), snapshot);
  });

  test("a phone needs no scrolling sideways", async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await page.waitForTimeout(100);
    const [wide, canvas] = await page.evaluate(() => [
      document.documentElement.scrollWidth,
      document.querySelector("#canvas")!.getBoundingClientRect().width,
    ]);
    assert.ok(wide! <= 360 && canvas! <= 360, `${wide} ${canvas}`);
    await page.setViewportSize({ width: 1200, height: 900 });
  });

  test("tells whether it was kept for use without a network", async () => {
    const told = await page.waitForFunction(() => document.querySelector("#offline")?.textContent);
    assert.match((await told.jsonValue())!, noRoom ? /now works without|not be kept/ : /now works without/);
  });

  test("opens and finds faces without a network, once it was there", { skip: noRoom }, async () => {
    await here.stopServer();
    await page.reload();
    assert.ok((await faces(page, "example.jpg")) > 5);
    await page.setInputFiles("#file", COLLAGE);
    assert.ok((await faces(page, "collage.jpg")) > 5);
  });
});
