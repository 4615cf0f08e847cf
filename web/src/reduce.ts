// Shrinking by whole factors: each pixel is the mean of a block, rounded as Pillow's `reduce` does.

import type { Rgb, Rows } from "./rgb.ts";

const BAND_PIXELS = 1 << 20; // read at once, so that a large picture never lies in memory twice

/**
 * The top left part of a picture, shrunk by whole factors; a block that the part cuts is the mean
 * of what lies within.
 *
 * @param read gives rows of the picture.
 * @param width of the part, in pixels of the picture; the rows given may be longer.
 * @param height likewise.
 * @param fx pixels that become one, across; 1 copies.
 * @param fy likewise, down.
 */
export function reduce(read: Rows, width: number, height: number, fx: number, fy: number): Rgb {
  const columns = Math.ceil(width / fx);
  const out = new Uint8Array(columns * Math.ceil(height / fy) * 3);
  const band = Math.max(1, Math.floor(BAND_PIXELS / width / fy)) * fy;
  for (let top = 0; top < height; top += band) {
    const rows = Math.min(band, height - top);
    const { rgba, stride } = read(top, rows);
    let at = (top / fy) * columns * 3;
    if (fx === 1 && fy === 1) {
      copy(rgba, stride, width, rows, out, at);
      continue;
    }
    for (let y = 0; y < rows; y += fy) {
      const down = Math.min(fy, rows - y);
      for (let x = 0; x < width; x += fx) {
        const across = Math.min(fx, width - x);
        const amend = (across * down) >> 1;
        let red = amend;
        let green = amend;
        let blue = amend;
        for (let j = y; j < y + down; j++) {
          let from = (j * stride + x) * 4;
          for (let i = 0; i < across; i++, from += 4) {
            red += rgba[from]!;
            green += rgba[from + 1]!;
            blue += rgba[from + 2]!;
          }
        }
        const share = reciprocal(across * down);
        out[at++] = Math.imul(red, share) >>> 24;
        out[at++] = Math.imul(green, share) >>> 24;
        out[at++] = Math.imul(blue, share) >>> 24;
      }
    }
  }
  return { data: out, width: columns, height: Math.ceil(height / fy) };
}

/** Leaves the fourth byte of each pixel out. */
function copy(
  rgba: Uint8ClampedArray,
  stride: number,
  width: number,
  rows: number,
  out: Uint8Array,
  start: number,
): void {
  let at = start;
  for (let y = 0; y < rows; y++) {
    const end = (y * stride + width) * 4;
    for (let from = y * stride * 4; from < end; from += 4) {
      out[at] = rgba[from]!;
      out[at + 1] = rgba[from + 1]!;
      out[at + 2] = rgba[from + 2]!;
      at += 3;
    }
  }
}

/** 2^24 / count in the float32 arithmetic of Pillow, so that means round as its means do. */
function reciprocal(count: number): number {
  return Math.trunc(Math.fround(2 ** 32 / Math.fround(256 * count)));
}
