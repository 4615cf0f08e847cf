// The large picture: as large as there is room for, with what was found drawn or blurred.

import type { Face } from "featherface";

import { hide } from "./hide.ts";
import { mark } from "./marks.ts";

/** What is to be seen of the faces. */
export type View = "marks" | "blur";

/** A picture and what was found in it, in its own pixels. */
export interface Scene {
  bitmap: ImageBitmap; // may be smaller than the picture
  width: number; // of the picture
  faces: readonly Face[];
  view: View;
}

const TALLEST = 0.68; // of the window's height

/** Draws on the page's canvas, and anew when the window's size changes. */
export class Stage {
  private scene: Scene | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly frame: HTMLElement,
  ) {
    new ResizeObserver(() => this.draw()).observe(frame);
  }

  /** @param label what somebody hears who does not see it. */
  show(scene: Scene, label: string): void {
    this.scene = scene;
    this.canvas.setAttribute("aria-label", label);
    this.draw();
  }

  /** Takes the picture away. */
  clear(label: string): void {
    this.scene = null;
    this.canvas.setAttribute("aria-label", label);
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  private draw(): void {
    if (!this.scene) return;
    const { bitmap, width, faces, view } = this.scene;
    const dense = window.devicePixelRatio || 1;
    const room = { x: this.frame.clientWidth, y: Math.max(220, window.innerHeight * TALLEST) };
    const fill = Math.min(room.x / bitmap.width, room.y / bitmap.height, 3);
    this.canvas.width = Math.max(1, Math.round(bitmap.width * fill * dense));
    this.canvas.height = Math.max(1, Math.round(bitmap.height * fill * dense));
    this.canvas.style.width = `${this.canvas.width / dense}px`;
    paint(this.canvas, bitmap, faces, this.canvas.width / width, view, dense);
  }
}

/**
 * Draws a picture over a whole canvas, faces and all.
 *
 * @param scale canvas pixels a picture pixel.
 * @param unit canvas pixels that look like one CSS pixel.
 */
export function paint(
  canvas: HTMLCanvasElement,
  bitmap: ImageBitmap,
  faces: readonly Face[],
  scale: number,
  view: View,
  unit: number,
): void {
  const pen = canvas.getContext("2d", { willReadFrequently: view === "blur" });
  if (!pen) throw new Error("this browser has no memory left for a picture of this size");
  pen.fillStyle = "white";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  if (view === "marks") mark(pen, faces, scale, unit);
  else hide(pen, faces.map(({ box }) => box.map((value) => value * scale) as Face["box"]));
}
