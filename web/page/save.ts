// Downloads, made here: nothing is asked of a server.

import { facesOf, toJson, type Picture } from "./picture.ts";
import { paint, type View } from "./stage.ts";

const KEPT_SECONDS = 60; // that a browser has to begin with a download

/** All pictures' faces, as `featherface detect --format json` writes them. */
export function saveJson(pictures: readonly Picture[], score: number): void {
  const text = JSON.stringify(pictures.map((picture) => toJson(picture, score)), null, 1);
  save(new Blob([`${text}\n`], { type: "application/json" }), "faces.json");
}

/** The picture at its full size as it is shown; what the file told about itself is left out. */
export async function savePicture(picture: Picture, score: number, view: View): Promise<void> {
  const bitmap = await createImageBitmap(picture.file);
  try {
    const canvas = document.createElement("canvas");
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    const unit = Math.max(1, Math.max(bitmap.width, bitmap.height) / 1000);
    paint(canvas, bitmap, facesOf(picture, score), 1, view, unit);
    const type = picture.file.type === "image/jpeg" ? "image/jpeg" : "image/png";
    const content = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, type, 0.92));
    canvas.width = 0; // gives the pixels back at once
    if (!content) throw new Error("it is too large for this browser to write");
    const stem = picture.name.replace(/\.[^.]*$/, "");
    const ending = type === "image/jpeg" ? "jpg" : "png";
    save(content, `${stem}-${view === "blur" ? "blurred" : "faces"}.${ending}`);
  } finally {
    bitmap.close();
  }
}

function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000 * KEPT_SECONDS);
}
