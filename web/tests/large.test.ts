import assert from "node:assert/strict";
import { test } from "node:test";

import type { Face } from "../src/faces.ts";
import type { Fitted } from "../src/fit.ts";
import { addLargeFaces } from "../src/large.ts";

const landmarks: Face["landmarks"] = [[0, 0], [0, 0], [0, 0], [0, 0], [0, 0]];
const face = (x: number, side: number, score: number): Face => ({
  box: [x, 0, x + side, side],
  score,
  landmarks,
});

function input(width: number, scale: number): Fitted {
  return { data: new Uint8Array(width * 320 * 3).fill(9), width, height: 320, scale };
}

/** Both looks at an input 2560 pixels wide; `scale` is its pixels to one of the picture. */
async function both(first: Face[], second: Face[], scale = 1): Promise<Face[]> {
  const seen: Fitted[] = [];
  const look = async (fitted: Fitted) => (seen.push(fitted), second);
  const found = await addLargeFaces(look, input(2560, scale), first, 0.4);
  assert.equal(seen.length, 1);
  const [{ data, width, height, scale: shrunk }] = seen as [Fitted];
  assert.deepEqual([width, height, shrunk], [640, 96, scale / 4]); // 80 rows, and padding
  assert.deepEqual([data[0], data.at(-1)], [9, 0]);
  return found;
}

test("small pictures are looked at once", async () => {
  const found = [face(0, 40, 0.7)];
  const never = () => Promise.reject(new Error("looked again"));
  assert.equal(await addLargeFaces(never, input(1280, 1), found, 0.4), found);
});

test("the second look adds large faces, and no small ones", async () => {
  const small = face(0, 40, 0.6);
  const large = face(1000, 800, 0.7);
  assert.deepEqual(await both([small], [large, face(300, 50, 0.9)]), [large, small]);
});

test("sizes are those in pixels of the first look", async () => {
  const large = face(0, 400, 0.7); // of the picture; 100 of the look
  assert.deepEqual(await both([], [large], 0.25), []);
  assert.deepEqual(await both([], [large], 1), [large]);
});

test("a face that both see is told once, by whoever is surer", async () => {
  const first = face(0, 300, 0.9);
  assert.deepEqual(await both([first], [face(10, 300, 0.8)]), [first]);
  const second = face(10, 300, 0.95);
  assert.deepEqual(await both([first], [second]), [second]);
});

test("within a face too large for the first look, what that saw goes, however sure", async () => {
  const large = face(0, 1000, 0.6);
  const nose = face(300, 400, 0.99);
  const beside = face(1200, 400, 0.9);
  assert.deepEqual(await both([nose, beside], [large]), [beside, large]);
});
