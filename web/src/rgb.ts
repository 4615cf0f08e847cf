// Pixels on their way to the network.

/** Bytes red, green, blue, row after row. */
export interface Rgb {
  data: Uint8Array; // (height, width, 3)
  width: number;
  height: number;
}

/** Rows of a picture as RGBA bytes; `stride` is how many pixels a row has. */
export type Rows = (top: number, count: number) => { rgba: Uint8ClampedArray; stride: number };
