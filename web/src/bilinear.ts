// Pillow's BILINEAR resampling, to the bit: a triangle as wide as the shrinking asks, in integers,
// across first and then down (which Pillow 13 turns round where the height shrinks far more).

import type { Rgb } from "./rgb.ts";

const PRECISION = 22; // bits after the point of a weight
const HALF = 1 << (PRECISION - 1);

/** For each pixel of a side that is made: where the pixels that it mixes begin, and their weights. */
interface Weights {
  first: Int32Array; // (size,)
  count: Int32Array; // (size,)
  weights: Int32Array; // (size, most)
  most: number;
}

/**
 * A picture resampled.
 *
 * @param right of the part that is used, which begins at 0, in pixels; may be a fraction.
 * @param bottom likewise.
 * @param width wanted.
 * @param height wanted.
 */
export function bilinear(
  source: Rgb,
  right: number,
  bottom: number,
  width: number,
  height: number,
): Rgb {
  let { data } = source;
  if (width !== source.width || right !== source.width) {
    data = across(data, source.width, source.height, width, triangle(source.width, right, width));
  }
  if (height !== source.height || bottom !== source.height) {
    data = down(data, width, height, triangle(source.height, bottom, height));
  }
  return { data, width, height };
}

/** Weights for `size` pixels made of the first `end` of `side`. */
function triangle(side: number, end: number, size: number): Weights {
  const scale = end / size;
  const support = Math.max(scale, 1);
  const most = Math.ceil(support) * 2 + 1;
  const made: Weights = {
    first: new Int32Array(size),
    count: new Int32Array(size),
    weights: new Int32Array(size * most),
    most,
  };
  const raw = new Float64Array(most);
  for (let i = 0; i < size; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(side, Math.trunc(centre + support + 0.5)) - first;
    let sum = 0;
    for (let k = 0; k < count; k++) {
      const weight = Math.max(0, 1 - Math.abs((k + first - centre + 0.5) * (1 / support)));
      raw[k] = weight;
      sum += weight;
    }
    for (let k = 0; k < count; k++) {
      const share = sum === 0 ? raw[k]! : raw[k]! / sum;
      made.weights[i * most + k] = Math.trunc(0.5 + share * (1 << PRECISION));
    }
    made.first[i] = first;
    made.count[i] = count;
  }
  return made;
}

function across(
  data: Uint8Array,
  from: number,
  rows: number,
  width: number,
  { first, count, weights, most }: Weights,
): Uint8Array {
  const out = new Uint8Array(rows * width * 3);
  let at = 0;
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < width; x++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let pixel = (y * from + first[x]!) * 3;
      const end = x * most + count[x]!;
      for (let k = x * most; k < end; k++, pixel += 3) {
        const weight = weights[k]!;
        red += data[pixel]! * weight;
        green += data[pixel + 1]! * weight;
        blue += data[pixel + 2]! * weight;
      }
      out[at++] = red >> PRECISION;
      out[at++] = green >> PRECISION;
      out[at++] = blue >> PRECISION;
    }
  }
  return out;
}

function down(
  data: Uint8Array,
  width: number,
  height: number,
  { first, count, weights, most }: Weights,
): Uint8Array {
  const row = width * 3;
  const out = new Uint8Array(height * row);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]!; k++) {
      const weight = weights[y * most + k]!;
      const from = (first[y]! + k) * row;
      for (let x = 0; x < row; x++) sums[x]! += data[from + x]! * weight;
    }
    const to = y * row;
    for (let x = 0; x < row; x++) out[to + x] = sums[x]! >> PRECISION;
  }
  return out;
}
