import assert from "node:assert/strict";
import { test } from "node:test";

import { areaOf, distance, hide, type Pen, type Window } from "../page/hide.ts";
import type { Face } from "../src/index.ts";

const SIDE = 200;

/** A canvas without a browser. */
function penOf(data: Uint8ClampedArray): Pen {
  return {
    canvas: { width: SIDE, height: SIDE },
    getImageData: ((left: number, top: number, width: number, height: number): Window => {
      const part = new Uint8ClampedArray(width * height * 4);
      for (let y = 0; y < height; y++) {
        const from = ((top + y) * SIDE + left) * 4;
        part.set(data.subarray(from, from + width * 4), y * width * 4);
      }
      return { data: part, width, height };
    }) as Pen["getImageData"],
    putImageData: (part: Window, left: number, top: number) => {
      for (let y = 0; y < part.height; y++) {
        const row = part.data.subarray(y * part.width * 4, (y + 1) * part.width * 4);
        data.set(row, ((top + y) * SIDE + left) * 4);
      }
    },
  };
}

/** Black and white pixels by turns, or other ones whose means are the same. */
function fine(shift: number): Uint8ClampedArray {
  return Uint8ClampedArray.from({ length: SIDE * SIDE * 4 }, (_, at) => {
    const pixel = at >> 2;
    return at % 4 === 3 ? 255 : 255 * ((pixel + Math.floor(pixel / SIDE) + shift) % 2);
  });
}

const BOX: Face["box"] = [60, 50, 120, 130];

test("of what is covered no fine detail is left, and nothing else changes", () => {
  const before = fine(0);
  const after = before.slice();
  hide(penOf(after), [BOX]);
  const area = areaOf(BOX, SIDE, SIDE)!;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const at = (y * SIDE + x) * 4;
      const away = distance(area, x, y);
      if (away === 0) assert.ok(Math.abs(after[at]! - 127.5) < 6, `${x} ${y}: ${after[at]}`);
      if (away >= area.feather) assert.equal(after[at], before[at]);
    }
  }
});

test("the whole box is covered, its corners and the margin included", () => {
  const area = areaOf(BOX, SIDE, SIDE)!;
  for (const x of [BOX[0] - 12, BOX[2] + 11]) {
    for (const y of [BOX[1] - 16, BOX[3] + 15]) assert.equal(distance(area, x, y), 0);
  }
});

test("pictures that differ in detail alone become the same", () => {
  const covered = [0, 1].map((shift) => {
    const data = fine(shift);
    hide(penOf(data), [BOX]);
    return data;
  });
  const area = areaOf(BOX, SIDE, SIDE)!;
  for (let at = 0; at < SIDE * SIDE; at++) {
    if (distance(area, at % SIDE, Math.floor(at / SIDE)) > 0) continue;
    assert.ok(Math.abs(covered[0]![4 * at]! - covered[1]![4 * at]!) < 8);
  }
});

test("faces at the border, beyond it and of a pixel are no trouble", () => {
  for (const box of [[-20, -20, 30, 30], [190, 190, 260, 220], [300, 0, 320, 20], [5, 5, 5, 9], [7, 7, 8, 8]]) {
    hide(penOf(fine(0)), [box as Face["box"]]);
  }
  assert.equal(areaOf([300, 0, 320, 20], SIDE, SIDE), null);
  assert.equal(areaOf([5, 5, 5, 9], SIDE, SIDE), null);
});
