// Fits pixels for the tests in Python: node build/tests/fitted.js JOBS, where JOBS is a JSON file
// [{pixels, width, height, size, fitted}, ...]: files of RGBA bytes to read, of RGB bytes to write.

import { readFile, writeFile } from "node:fs/promises";

import { fit } from "../src/fit.ts";

interface Job {
  pixels: string;
  width: number;
  height: number;
  size: number | null;
  fitted: string;
}

for (const job of JSON.parse(await readFile(process.argv[2]!, "utf8")) as Job[]) {
  const rgba = new Uint8ClampedArray(await readFile(job.pixels));
  const row = job.width * 4;
  const rows = (top: number, count: number) => ({
    rgba: rgba.subarray(top * row, (top + count) * row),
    stride: job.width,
  });
  await writeFile(job.fitted, fit(rows, job.width, job.height, job.size).data);
}
