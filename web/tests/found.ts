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
  const found: Detections[] = [];
  for (const { path, size, score } of jobs) {
    const content = (await readFile(path)).toString("base64");
    found.push(
      await page.evaluate(
        async ([content, size, score]) => {
          const address = "/featherface/index.js";
          const { Detector } = (await import(address)) as typeof import("../src/index.ts");
          const detector = await Detector.create();
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const faces = await detector.detect(new Blob([bytes]), { size, score });
          detector.close();
          return faces;
        },
        [content, size, score] as const,
      ),
    );
  }
  process.stdout.write(JSON.stringify(found));
} finally {
  await end();
}
