import assert from "node:assert/strict";
import { test } from "node:test";

import { fit } from "../src/fit.ts";
import type { Rows } from "../src/rgb.ts";
import { longSide } from "../src/size.ts";

/** A picture whose red tells the column and whose green tells the row. */
function slope(width: number): Rows {
  return (top, count) => {
    const rgba = new Uint8ClampedArray(width * count * 4);
    for (let y = 0; y < count; y++) {
      for (let x = 0; x < width; x++) rgba.set([x % 256, (top + y) % 256, 7, 255], (y * width + x) * 4);
    }
    return { rgba, stride: width };
  };
}

test("a picture that keeps its size lies at the top left of its padding", () => {
  const { data, width, height, scale } = fit(slope(33), 33, 50, null);
  assert.deepEqual([width, height, scale], [64, 64, 1]);
  assert.deepEqual([...data.subarray(0, 3)], [0, 0, 7]);
  const last = (49 * 64 + 32) * 3;
  assert.deepEqual([...data.subarray(last, last + 6)], [32, 49, 7, 0, 0, 0]);
  assert.ok(data.subarray(50 * 64 * 3).every((value) => value === 0));
});

test("bands of a large picture join without a seam", () => {
  const width = 3000; // a band has 349 rows
  const { data } = fit(slope(width), width, 1000, null);
  for (const y of [0, 348, 349, 350, 698, 699, 999]) {
    const at = (y * 3008 + 2999) * 3;
    assert.deepEqual([...data.subarray(at, at + 3)], [2999 % 256, y % 256, 7]);
  }
});

test("the longer side becomes what is asked, by one scale for both", () => {
  for (const [width, height, side] of [[1180, 1040, 640], [200, 700, 333], [5, 4000, 100]] as const) {
    const fitted = fit(slope(width), width, height, side);
    assert.equal(fitted.scale, side / Math.max(width, height));
    assert.equal(Math.max(fitted.width, fitted.height), Math.ceil(side / 32) * 32);
  }
});

test("an even colour stays what it is when it is shrunk or enlarged", () => {
  const grey: Rows = (_, count) => ({ rgba: new Uint8ClampedArray(97 * count * 4).fill(93), stride: 97 });
  for (const side of [10, 31, 96, 97, 200]) {
    const { data, width } = fit(grey, 97, 61, side);
    const rows = Math.floor((61 * side) / 97);
    for (let y = 0; y < rows; y++) {
      assert.ok(data.subarray(y * width * 3, (y * width + side) * 3).every((value) => value === 93));
    }
  }
});

test("without a size only pictures of more than 1600 pixels are shrunk", () => {
  assert.equal(longSide(1600, 900, undefined, "a"), null);
  assert.equal(longSide(900, 1601, undefined, "a"), 1600);
  assert.equal(longSide(4000, 3000, "original", "a"), null);
  assert.equal(longSide(10, 10, 320, "a"), 320);
});

test("a picture too large for the network is refused by name, with a size that works", () => {
  const message = (size: "original" | number) => {
    try {
      longSide(8000, 6000, size, "wall.png");
      return "";
    } catch (error) {
      return (error as RangeError).message;
    }
  };
  const offered = Number(/a size below (\d+)/.exec(message("original"))?.[1]);
  assert.match(message("original"), /^wall\.png: has 8000 x 6000 pixels/);
  assert.equal(message(offered - 32), "");
  assert.throws(() => longSide(0, 5, undefined, "empty.svg"), /empty\.svg/);
});
