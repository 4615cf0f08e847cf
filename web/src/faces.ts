// What is found, and the way from pixels of the network's input to those of the picture.

/** x and y in pixels of the picture; (0, 0) is the corner of its first pixel. */
export type Point = [x: number, y: number];

/** One face. */
export interface Face {
  /** Left, top, right, bottom in pixels of the picture; within it. */
  box: [x1: number, y1: number, x2: number, y2: number];
  /** 0 to 1. */
  score: number;
  /** Left eye, right eye, nose tip, left and right mouth corner; left is the left of the picture. */
  landmarks: [Point, Point, Point, Point, Point];
}

/** What was found in one picture. */
export interface Detections {
  /** Of the upright picture, in pixels. */
  width: number;
  height: number;
  /** Best score first. */
  faces: Face[];
  /** From the picture's file or bitmap to its faces, time spent waiting for other pictures left out. */
  milliseconds: number;
}

/** The answer of the graph, in pixels of its input. */
export interface Raw {
  boxes: Float32Array; // (N, 4)
  scores: Float32Array; // (N,)
  landmarks: Float32Array; // (N, 5, 2)
}

/**
 * Faces in pixels of the picture; what lies beyond it, in the padding, goes.
 *
 * @param scale input pixels a picture pixel.
 */
export function toPicture(raw: Raw, width: number, height: number, scale: number): Face[] {
  const single = Math.fround(scale); // as in Python, whose numbers are float32
  const undo = (value: number) => Math.fround(value / single);
  const clip = (value: number, limit: number) => Math.min(Math.max(undo(value), 0), limit);
  const faces: Face[] = [];
  raw.scores.forEach((score, index) => {
    const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = raw.boxes.subarray(4 * index, 4 * index + 4);
    const box: Face["box"] = [clip(x1, width), clip(y1, height), clip(x2, width), clip(y2, height)];
    if (box[2] <= box[0] || box[3] <= box[1]) return;
    const points = raw.landmarks.subarray(10 * index, 10 * index + 10);
    const at = (k: number): Point => [undo(points[2 * k] ?? 0), undo(points[2 * k + 1] ?? 0)];
    faces.push({ box, score, landmarks: [at(0), at(1), at(2), at(3), at(4)] });
  });
  return faces;
}
