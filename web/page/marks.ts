// Boxes, landmarks and scores drawn on a canvas.

import type { Face } from "featherface";

const BOX = "#00e5a0";
const EDGE = "#003b2a";
const POINTS = ["#ffd400", "#ffd400", "#ff4fa3", "#4db8ff", "#4db8ff"]; // eyes, nose, mouth
const ROOM = 34; // units that a box is wide at least, to have its score told

/**
 * Draws what was found.
 *
 * @param scale canvas pixels a picture pixel.
 * @param unit canvas pixels that look like one CSS pixel: lines and letters keep their size.
 */
export function mark(
  pen: CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D,
  faces: readonly Face[],
  scale: number,
  unit: number,
): void {
  const letters = 12 * unit;
  pen.font = `600 ${letters}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (const { box, score, landmarks } of [...faces].reverse()) {
    const [x1, y1, x2, y2] = box.map((value) => value * scale) as Face["box"];
    const side = Math.min(x2 - x1, y2 - y1);
    const line = Math.max(1, Math.min(2 * unit, side / 16));
    for (const [colour, width] of [[EDGE, 2 * line], [BOX, line]] as const) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.strokeRect(x1 - line, y1 - line, x2 - x1 + 2 * line, y2 - y1 + 2 * line);
    }
    const dot = side / 28;
    landmarks.forEach(([x, y], index) => {
      if (dot < unit / 2) return; // they would touch each other
      pen.beginPath();
      pen.arc(x * scale, y * scale, Math.max(dot, unit), 0, 2 * Math.PI);
      pen.fillStyle = POINTS[index]!;
      pen.fill();
      pen.strokeStyle = EDGE;
      pen.lineWidth = Math.max(1, dot / 4);
      pen.stroke();
    });
    if (x2 - x1 < ROOM * unit) continue;
    const text = score.toFixed(2);
    const wide = pen.measureText(text).width + 8 * unit;
    const top = y1 - 2 * line - letters * 1.4 > 0 ? y1 - 2 * line - letters * 1.4 : y1 + line;
    pen.fillStyle = EDGE;
    pen.fillRect(x1 - 2 * line, top, wide, letters * 1.4);
    pen.fillStyle = BOX;
    pen.fillText(text, x1 - 2 * line + 4 * unit, top + letters * 0.72);
  }
}
