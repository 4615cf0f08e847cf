// Faces made unrecognisable, as `featherface.runtime.hide` does with "gaussian": what covers an
// area is made of a handful of its colours, so there is nothing that sharpening could bring back.

import type { Face } from "featherface";

const MARGIN = 0.2; // added to a face's box on each side, as a share of that side
const CELLS = 4; // colours that are left of an area along its longer side
const MIN_CELL = 8; // pixels that share a colour at least
const FINE = 6; // samples a cell and direction, where the blur is computed ...
const SPREAD = 4; // ... and its standard deviation in samples
const FEATHER = 0.12; // width of the soft edge, as a share of the area's shorter side

/** Bytes RGBA, row after row: the part of `ImageData` that is needed here. */
export interface Window {
  data: Uint8ClampedArray;
  width: number;
  height: number;
}

/** The ellipse through the corners of a box that was grown by the margin. */
export interface Area {
  centre: [number, number];
  half: [number, number];
  feather: number;
  /** Left, top, right, bottom of all that changes, in whole pixels of the picture. */
  reach: [number, number, number, number];
}

/** The canvas context's part that is needed here. */
export type Pen = Pick<CanvasRenderingContext2D, "getImageData" | "putImageData"> & {
  canvas: { width: number; height: number };
};

/** Covers faces on a canvas; boxes are in its pixels. */
export function hide(pen: Pen, boxes: readonly Face["box"][]): void {
  for (const box of boxes) {
    const area = areaOf(box, pen.canvas.width, pen.canvas.height);
    if (!area) continue;
    const [left, top, right, bottom] = area.reach;
    const window = pen.getImageData(left, top, right - left, bottom - top);
    cover(window, area);
    pen.putImageData(window, left, top);
  }
}

/** Where one box has its effect; null outside the picture. */
export function areaOf(box: Face["box"], width: number, height: number): Area | null {
  const [x1, y1, x2, y2] = box;
  const grow = ((1 + 2 * MARGIN) * Math.SQRT2) / 2;
  const half: Area["half"] = [(x2 - x1) * grow, (y2 - y1) * grow];
  if (!(half[0] > 0 && half[1] > 0)) return null;
  const centre: Area["centre"] = [(x1 + x2) / 2, (y1 + y2) / 2];
  const feather = Math.max(1, FEATHER * 2 * Math.min(...half));
  const low = (i: 0 | 1) => Math.max(Math.floor(centre[i] - half[i] - feather), 0);
  const high = (i: 0 | 1, side: number) => Math.min(Math.ceil(centre[i] + half[i] + feather), side);
  const reach: Area["reach"] = [low(0), low(1), high(0, width), high(1, height)];
  return reach[0] < reach[2] && reach[1] < reach[3] ? { centre, half, feather, reach } : null;
}

/** Pixels that a pixel of the picture lies outside the area; 0 is within. */
export function distance(area: Area, x: number, y: number): number {
  // From the centre to the nearest point of the pixel: one that is only touched is within.
  const dx = Math.max(Math.abs(x + 0.5 - area.centre[0]) - 0.5, 0) / area.half[0];
  const dy = Math.max(Math.abs(y + 0.5 - area.centre[1]) - 0.5, 0) / area.half[1];
  return Math.max((Math.hypot(dx, dy) - 1) * Math.min(...area.half), 0);
}

/** Replaces what lies in the area, and blends its soft edge, which lies outside. */
export function cover(window: Window, area: Area): void {
  const { data, width, height } = window;
  const cell = Math.max(MIN_CELL, Math.max(width, height) / CELLS);
  const columns = FINE * Math.max(1, Math.round(width / cell));
  const rows = FINE * Math.max(1, Math.round(height / cell));
  const soft = blur(means(window, columns, rows), columns, rows);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const away = distance(area, x + area.reach[0], y + area.reach[1]);
      const weight = Math.max(0, 1 - away / area.feather);
      if (weight === 0) continue;
      const u = ((x + 0.5) * columns) / width - 0.5;
      const v = ((y + 0.5) * rows) / height - 0.5;
      for (let channel = 0; channel < 3; channel++) {
        const at = (y * width + x) * 4 + channel;
        const made = mix(soft, columns, rows, u, v, channel);
        data[at] = Math.round(made * weight + data[at]! * (1 - weight));
      }
    }
  }
}

/** Means (rows, columns, 3) of a grid's cells, which may cut pixels. */
function means(window: Window, columns: number, rows: number): Float32Array {
  const out = new Float32Array(rows * columns * 3);
  const { data, width, height } = window;
  for (let row = 0; row < rows; row++) {
    const down = shares(row, rows, height);
    for (let column = 0; column < columns; column++) {
      const across = shares(column, columns, width);
      const at = (row * columns + column) * 3;
      for (const [y, tall] of down) {
        for (const [x, wide] of across) {
          const from = (y * width + x) * 4;
          for (let c = 0; c < 3; c++) out[at + c]! += data[from + c]! * tall * wide;
        }
      }
    }
  }
  return out;
}

/** Pixels of a side in cell `index` of `count`, and the share that each has in its mean. */
function shares(index: number, count: number, side: number): [number, number][] {
  const from = (index * side) / count;
  const to = ((index + 1) * side) / count;
  const found: [number, number][] = [];
  for (let pixel = Math.floor(from); pixel < Math.min(side, Math.ceil(to)); pixel++) {
    const part = Math.min(to, pixel + 1) - Math.max(from, pixel);
    if (part > 0) found.push([pixel, part / (to - from)]);
  }
  return found;
}

/** A Gaussian blur (rows, columns, 3); beyond the edge its last sample goes on. */
function blur(samples: Float32Array, columns: number, rows: number): Float32Array {
  const radius = 3 * SPREAD;
  const kernel = Array.from({ length: 2 * radius + 1 }, (_, k) =>
    Math.exp(-((k - radius) ** 2) / (2 * SPREAD ** 2)),
  );
  const sum = kernel.reduce((a, b) => a + b);
  const pass = (from: Float32Array, dx: number, dy: number) => {
    const out = new Float32Array(from.length);
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        kernel.forEach((weight, k) => {
          const i = clamp(x + dx * (k - radius), columns - 1);
          const j = clamp(y + dy * (k - radius), rows - 1);
          for (let c = 0; c < 3; c++) {
            out[(y * columns + x) * 3 + c]! += (from[(j * columns + i) * 3 + c]! * weight) / sum;
          }
        });
      }
    }
    return out;
  };
  return pass(pass(samples, 1, 0), 0, 1);
}

/** Between samples, linearly. */
function mix(
  samples: Float32Array,
  columns: number,
  rows: number,
  u: number,
  v: number,
  channel: number,
): number {
  const i = Math.floor(u);
  const j = Math.floor(v);
  const at = (x: number, y: number) =>
    samples[(clamp(y, rows - 1) * columns + clamp(x, columns - 1)) * 3 + channel]!;
  const upper = at(i, j) * (i + 1 - u) + at(i + 1, j) * (u - i);
  const lower = at(i, j + 1) * (i + 1 - u) + at(i + 1, j + 1) * (u - i);
  return upper * (j + 1 - v) + lower * (v - j);
}

function clamp(value: number, most: number): number {
  return Math.min(Math.max(value, 0), most);
}
