// A picture as the network wants it, the same pixels as `featherface.image.fit` makes in Python.

import { bilinear } from "./bilinear.ts";
import { reduce } from "./reduce.ts";
import type { Rgb, Rows } from "./rgb.ts";

const MULTIPLE = 32; // sides of the network's input are multiples of this, its coarsest stride

/** Pixels for the network, and how the picture lies in them: at the top left, scaled. */
export interface Fitted extends Rgb {
  /** Input pixels a picture pixel. */
  scale: number;
}

/**
 * Scales a picture if asked, and pads it with black at the right and the bottom.
 *
 * @param read gives its rows.
 * @param longSide pixels that the longer side shall get; null keeps the size.
 */
export function fit(read: Rows, width: number, height: number, longSide: number | null): Fitted {
  if (longSide === null) return { ...pad(reduce(read, width, height, 1, 1)), scale: 1 };
  const longest = Math.max(width, height);
  const [columns, right] = shrunk(width, longest, longSide);
  const [rows, bottom] = shrunk(height, longest, longSide);
  const fx = Math.max(1, Math.floor(right / columns));
  const fy = Math.max(1, Math.floor(bottom / rows));
  const isReduced = fx > 1 || fy > 1;
  const part = reduce(
    read,
    isReduced ? Math.min(width, Math.ceil(right + right / columns / 2)) : width,
    isReduced ? Math.min(height, Math.ceil(bottom + bottom / rows / 2)) : height,
    fx,
    fy,
  );
  const resized = bilinear(part, Math.fround(right / fx), Math.fround(bottom / fy), columns, rows);
  return { ...pad(resized), scale: longSide / longest };
}

/**
 * Pixels that a side gets, and those of the picture that they show: whole pixels only, or the
 * scale would not be the same in both directions, so a last one covered in part is left out.
 */
function shrunk(side: number, longest: number, longSide: number): [number, number] {
  const target = Math.max(1, Math.floor((side * longSide) / longest));
  return [target, Math.min(side, (target * longest) / longSide)];
}

/** The sides of the input that a picture needs. */
export function padded(side: number): number {
  return Math.ceil(side / MULTIPLE) * MULTIPLE;
}

function pad(picture: Rgb): Rgb {
  const width = padded(picture.width);
  const height = padded(picture.height);
  if (width === picture.width && height === picture.height) return picture;
  const data = new Uint8Array(width * height * 3);
  const row = picture.width * 3;
  for (let y = 0; y < picture.height; y++) {
    data.set(picture.data.subarray(y * row, (y + 1) * row), y * width * 3);
  }
  return { data, width, height };
}
