// Nothing leaves the browser: what its network log says, and what it refuses.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { noBrowser, visit, WEB, type Visit } from "./browser.ts";

interface NetLog {
  events: { params?: { url?: string; initiator?: string } }[];
}

describe("nothing leaves the browser", { skip: noBrowser }, () => {
  let here: Visit;
  let folder: string;
  let log: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "featherface-web-"));
    log = join(folder, "net.json");
    here = await visit("site/", { args: [`--log-net-log=${log}`] });
    await here.page.goto(here.address);
    await here.page.waitForFunction(() => document.querySelector("#offline")?.textContent);
  });

  after(async () => {
    await here.end();
    await rm(folder, { recursive: true, force: true });
  });

  test("the browser refuses what a script might try, by the policy", async () => {
    const refused = await here.page.evaluate(async () => {
      const broken: string[] = [];
      document.addEventListener("securitypolicyviolation", (event) => broken.push(event.effectiveDirective));
      await fetch("https://example.com/").catch(() => null);
      navigator.sendBeacon("https://example.com/", "a picture");
      const image = new Image();
      const failed = new Promise((resolve) => (image.onerror = resolve));
      image.src = "https://example.com/picture.png";
      await failed;
      await new Promise((resolve) => setTimeout(resolve, 50));
      return broken;
    });
    for (const directive of ["connect-src", "img-src"]) assert.ok(refused.includes(directive), `${refused}`);
  });

  test("the policy comes with every script, since workers go by their own", async () => {
    for (const file of ["", "featherface/worker.js", "featherface/ort-wasm-simd-threaded.mjs", "sw.js"]) {
      const answer = await fetch(`${here.address}${file}`);
      const policy = answer.headers.get("content-security-policy") ?? "";
      assert.match(policy, /^default-src 'none'; .*connect-src 'self';/, file);
      assert.ok(!/https?:|\*/.test(policy), policy);
    }
    const written = (await readFile(new URL("site/index.html", WEB))).toString();
    assert.match(written, /<meta http-equiv="Content-Security-Policy" content="default-src 'none';/);
  });

  test("a visit with a picture, blurred and kept, asks the page's own host only", async () => {
    const { page, address } = here;
    await page.setInputFiles("#file", new URL("../assets/astronaut.jpg", WEB).pathname);
    await page.waitForFunction(() => /^astronaut\.jpg: [1-9]/.test(document.querySelector("#status")!.textContent!));
    await page.check("input[value=blur]");
    await Promise.all([page.waitForEvent("download"), page.click("#save-picture")]);
    await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
    await here.end(); // completes the log
    const { events } = JSON.parse(await readFile(log, "utf8")) as NetLog;
    const host = address.slice(0, -1); // without the slash
    const urls = events
      .filter(({ params }) => params?.url && params.initiator === host)
      .map(({ params }) => params!.url!);
    for (const file of ["featherface.onnx", "worker.js", "threaded.wasm", "sw.js"]) {
      assert.ok(urls.some((url) => url.endsWith(file)), `the log does not tell of ${file}`);
    }
    assert.deepEqual(urls.filter((url) => !url.startsWith(address) && !url.startsWith("blob:")), []);
  });
});
