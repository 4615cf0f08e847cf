// A bitmap's rows as bytes, a band at a time; transparent pixels are laid on white, as in Python.

import type { Rows } from "./rgb.ts";

/** Opens a bitmap for reading. */
export function reader(bitmap: ImageBitmap): Rows {
  const { width } = bitmap;
  let canvas: OffscreenCanvas | null = null;
  let pen: OffscreenCanvasRenderingContext2D | null = null;
  return (top, count) => {
    if (!canvas || !pen || canvas.height < count) {
      canvas = new OffscreenCanvas(width, count);
      pen = canvas.getContext("2d", { willReadFrequently: true });
      if (!pen) throw new Error("this browser gives workers no 2D canvas; a newer one does");
    }
    pen.fillStyle = "white";
    pen.fillRect(0, 0, width, count);
    pen.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    return { rgba: pen.getImageData(0, 0, width, count).data, stride: width };
  };
}
