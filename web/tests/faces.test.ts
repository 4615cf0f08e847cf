import assert from "node:assert/strict";
import { test } from "node:test";

import { toPicture } from "../src/faces.ts";

const landmarks = new Float32Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 120]);

test("faces go back into the picture by the scale, boxes end at its border", () => {
  const raw = { boxes: new Float32Array([-4, 10, 60, 130]), scores: new Float32Array([0.75]), landmarks };
  const [face] = toPicture(raw, 100, 60, 2);
  assert.deepEqual(face?.box, [0, 5, 30, 60]);
  assert.deepEqual(face?.landmarks[0], [0.5, 1]);
  assert.deepEqual(face?.landmarks[4], [4.5, 60]);
  assert.equal(face?.score, 0.75);
});

test("a face that lies in the padding goes, and no face is no trouble", () => {
  const raw = { boxes: new Float32Array([10, 50, 30, 90]), scores: new Float32Array([0.9]), landmarks };
  assert.deepEqual(toPicture(raw, 100, 40, 1), []);
  const none = { boxes: new Float32Array(), scores: new Float32Array(), landmarks: new Float32Array() };
  assert.deepEqual(toPicture(none, 100, 40, 1), []);
});
