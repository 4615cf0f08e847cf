// Pixels on their way to the network.

/** Bytes red, green, blue, row after row. */
export interface Rgb {
  data: Uint8Array; // (height, width, 3)
  width: number;
  height: number;
}

/** Rows of a picture as RGBA bytes; `stride` is how many pixels a row has. */
export type Rows = (top: number, count: number) => { rgba: Uint8ClampedArray; stride: number };

/** The rows of pixels that are on their way already. */
export function rowsOf({ data, width }: Rgb): Rows {
  return (top, count) => {
    const rgba = new Uint8ClampedArray(count * width * 4);
    for (let from = top * width * 3, at = 0; at < rgba.length; from += 3, at += 4) {
      rgba[at] = data[from]!;
      rgba[at + 1] = data[from + 1]!;
      rgba[at + 2] = data[from + 2]!;
    }
    return { rgba, stride: width };
  };
}
