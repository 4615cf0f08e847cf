// How large a picture may be, and at which size it is looked at.

import { padded } from "./fit.ts";

/** "original" looks at every pixel; a number is what the longer side is scaled to, up or down. */
export type Size = number | "original";

/** Without `size`, pictures of a longer side than this are shrunk to it, for time and memory. */
const USUAL = 1600;

/** Pixels of the network's input at most: its memory grows with them, about 60 bytes each. */
export const MAX_INPUT_PIXELS = 16 * 1024 * 1024;

/** Pixels of a picture at most; decoded it takes four bytes each. */
export const MAX_PIXELS = 178_956_970;

/**
 * What the longer side of a picture becomes; null for as it is.
 *
 * @param name of the picture, for messages.
 * @throws RangeError the picture is too large, or would be.
 */
export function longSide(
  width: number,
  height: number,
  size: Size | undefined,
  name: string,
): number | null {
  const pixels = width * height;
  if (pixels < 1 || pixels > MAX_PIXELS) {
    throw new RangeError(`${name}: has ${width} x ${height} pixels, wanted 1 to ${MAX_PIXELS}`);
  }
  const longest = Math.max(width, height);
  const wanted = size ?? (longest > USUAL ? USUAL : "original");
  const scale = wanted === "original" ? 1 : wanted / longest;
  if (padded(width * scale) * padded(height * scale) > MAX_INPUT_PIXELS) {
    const most = Math.floor(Math.sqrt(MAX_INPUT_PIXELS / pixels) * longest);
    throw new RangeError(
      `${name}: has ${width} x ${height} pixels, too many to be looked at with size ${wanted}; ` +
        `give a size below ${most}, or none (which shrinks to ${USUAL})`,
    );
  }
  return wanted === "original" ? null : wanted;
}

/** @throws RangeError no such size. */
export function checkSize(size: Size | undefined): Size | undefined {
  if (size === undefined || size === "original" || (Number.isInteger(size) && size >= 1)) {
    return size;
  }
  throw new RangeError(`size is ${size}, wanted "original" or a whole number of at least 1 pixel`);
}

/** @throws RangeError no such score. */
export function checkScore(score: number): number {
  if (score >= 0 && score <= 1) return score;
  throw new RangeError(`score is ${score}, wanted 0 to 1`);
}
