// One picture of the visitor's: its file, and what was found in it. Its pixels are decoded when
// they are shown and given back afterwards, so that a hundred photographs fit in memory.

import type { Detections, Face, Size } from "featherface";

/** What is kept of a picture. */
export interface Picture {
  name: string;
  file: Blob;
  /** Looked at with a low score, so that the slider needs no second look. */
  found: Detections | null;
  /** With which it was looked at. */
  size: Size | undefined;
  error: string;
}

/** The lowest score that the slider offers. */
export const LOWEST = 0.1;

const VIEW_SIDE = 2400; // pixels of the longer side that are enough for a screen

export function newPicture(file: Blob, name: string): Picture {
  return { name, file, found: null, size: undefined, error: "" };
}

/** Those that score more. */
export function facesOf(picture: Picture, score: number): Face[] {
  return picture.found?.faces.filter((face) => face.score > score) ?? [];
}

/** Decoded for a screen; the caller closes it. */
export async function decode(picture: Picture, side = VIEW_SIDE): Promise<ImageBitmap> {
  const bitmap = await createImageBitmap(picture.file);
  const shrink = side / Math.max(bitmap.width, bitmap.height);
  if (shrink >= 1) return bitmap;
  // Not by createImageBitmap itself, which browsers do differently for pictures that lie on a side.
  const [width, height] = [bitmap.width, bitmap.height].map((length) => Math.ceil(length * shrink));
  const canvas = new OffscreenCanvas(width!, height!);
  const pen = canvas.getContext("2d")!;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, width!, height!);
  bitmap.close();
  return canvas.transferToImageBitmap();
}

/** Rounded, as the command line writes it. */
export function toJson(picture: Picture, score: number): object {
  if (!picture.found) return { path: picture.name, error: picture.error };
  const { width, height } = picture.found;
  const two = (value: number) => Math.round(value * 100) / 100;
  const faces = facesOf(picture, score).map((face) => ({
    box: face.box.map(two),
    score: Math.round(face.score * 1e4) / 1e4,
    landmarks: face.landmarks.map((point) => point.map(two)),
  }));
  return { path: picture.name, width, height, faces };
}

/** "1 face", "47 faces". */
export function count(faces: number): string {
  return `${faces} ${faces === 1 ? "face" : "faces"}`;
}
