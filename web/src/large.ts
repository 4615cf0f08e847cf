// A second look at large pictures, shrunk, for faces that are too large at their full size; the
// same as `featherface.runtime.large` in Python, whose names and reasons these are.

import type { Face } from "./faces.ts";
import { fit, type Fitted } from "./fit.ts";
import { rowsOf } from "./rgb.ts";

const LARGE = 1280;
const SHRUNK = 640;
const FACE = 192;
const LARGEST = 512;
const COVERED = 0.7; // of two faces of different looks, one this far within the other is part of it

/** Finds the faces of fitted pixels, in pixels of the picture. */
export type Look = (input: Fitted) => Promise<Face[]>;

interface Seen {
  face: Face;
  look: 1 | 2;
  rank: number;
}

/**
 * Looks again if the network's input is large, and brings both looks together.
 *
 * @param first what was looked at.
 * @param found its faces.
 * @param overlap IoU above which the weaker of two boxes goes.
 */
export async function addLargeFaces(
  look: Look,
  first: Fitted,
  found: Face[],
  overlap: number,
): Promise<Face[]> {
  if (Math.max(first.width, first.height) <= LARGE) return found;
  const shrunk = fit(rowsOf(first), first.width, first.height, SHRUNK);
  const again = await look({ ...shrunk, scale: first.scale * shrunk.scale });
  const side = ({ box: [x1, y1, x2, y2] }: Face) => Math.max(x2 - x1, y2 - y1) * first.scale;
  const seen: Seen[] = [
    ...found
      .filter((face) => side(face) <= LARGEST)
      .map((face) => ({ face, look: 1 as const, rank: face.score })),
    ...again
      .filter((face) => side(face) > FACE)
      .map((face) => ({ face, look: 2 as const, rank: face.score * (side(face) > LARGEST ? 2 : 1) })),
  ];
  const kept: Seen[] = [];
  for (const one of seen.sort((a, b) => b.rank - a.rank)) {
    if (!kept.some((better) => isSame(better, one, overlap))) kept.push(one);
  }
  return kept.map(({ face }) => face).sort((a, b) => b.score - a.score);
}

function isSame(a: Seen, b: Seen, overlap: number): boolean {
  const [left, top, right, bottom] = a.face.box;
  const [x1, y1, x2, y2] = b.face.box;
  const width = Math.min(right, x2) - Math.max(left, x1);
  const height = Math.min(bottom, y2) - Math.max(top, y1);
  if (width <= 0 || height <= 0) return false;
  const shared = width * height;
  const areas = [(right - left) * (bottom - top), (x2 - x1) * (y2 - y1)] as const;
  const isPart = a.look !== b.look && shared > COVERED * Math.min(...areas);
  return isPart || shared > overlap * (areas[0] + areas[1] - shared);
}
