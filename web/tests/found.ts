// Detects in Chromium for the tests in Python: node build/tests/found.js JOBS, where JOBS is a JSON file
// [{path, size, score}, ...]; prints a list of what was found, in the same order.

import { readFile } from "node:fs/promises";

import type { Detections, Size } from "../src/index.ts";
import { visit } from "./browser.ts";

interface Job {
  path: string;
  size: Size;
  score: number;
}

const jobs = JSON.parse(await readFile(process.argv[2]!, "utf8")) as Job[];
const { page, address, end } = await visit("site/");
try {
  await page.goto(`${address}icon.svg`); // any page of the same host: only the package is wanted
  for (const [number, { path }] of jobs.entries()) {
    await page.route(`**/picture-${number}`, (route) => route.fulfill({ path }));
  }
  const found = await page.evaluate(async (jobs) => {
    const address = "/featherface/index.js";
    const { Detector } = (await import(address)) as typeof import("../src/index.ts");
    const detector = await Detector.create();
    const found: Detections[] = [];
    for (const [number, { size, score }] of jobs.entries()) {
      const picture = await (await fetch(`/picture-${number}`)).blob();
      found.push(await detector.detect(picture, { size, score }));
    }
    return found;
  }, jobs);
  process.stdout.write(JSON.stringify(found));
} finally {
  await end();
}
