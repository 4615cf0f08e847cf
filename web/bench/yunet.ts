// YuNet (Wu et al., 2023): its own preparation and decoding, as benchmarks/yunet.py has them.

import * as ort from "onnxruntime-web/wasm";

import { toPicture, type Face, type Raw } from "../src/faces.ts";
import type { Fitted } from "../src/fit.ts";

const SIDE = 640; // the released file fixes its input
const STRIDES = [8, 16, 32];
const OVERLAP = 0.45; // IoU in the authors' test configuration

export class YuNet {
  private constructor(private readonly session: ort.InferenceSession) {}

  static async open(graph: Uint8Array): Promise<YuNet> {
    const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" } as const;
    return new YuNet(await ort.InferenceSession.create(graph, options));
  }

  /** Planes blue, green, red (1, 3, 640, 640). */
  static prepare({ data, width, height }: Fitted): ort.Tensor {
    if (width !== SIDE || height !== SIDE) throw new Error(`wanted ${SIDE} x ${SIDE} pixels`);
    const plane = SIDE * SIDE;
    const planes = new Float32Array(3 * plane);
    for (let at = 0; at < plane; at++) {
      planes[at] = data[3 * at + 2]!;
      planes[plane + at] = data[3 * at + 1]!;
      planes[2 * plane + at] = data[3 * at]!;
    }
    return new ort.Tensor("float32", planes, [1, 3, SIDE, SIDE]);
  }

  run(input: ort.Tensor): Promise<ort.InferenceSession.OnnxValueMapType> {
    return this.session.run({ input });
  }

  /** Faces in pixels of a picture that was scaled. */
  static decode(
    outputs: ort.InferenceSession.OnnxValueMapType,
    score: number,
    width: number,
    height: number,
    scale: number,
  ): Face[] {
    const boxes: number[] = [];
    const scores: number[] = [];
    const landmarks: number[] = [];
    for (const stride of STRIDES) {
      const [classes, objects, codes, points] = ["cls", "obj", "bbox", "kps"].map(
        (name) => outputs[`${name}_${stride}`]!.data as Float32Array,
      ) as [Float32Array, Float32Array, Float32Array, Float32Array];
      const columns = SIDE / stride;
      for (let cell = 0; cell < classes.length; cell++) {
        const value = Math.sqrt(classes[cell]! * objects[cell]!);
        if (!(value > score)) continue;
        const [column, row] = [cell % columns, Math.floor(cell / columns)];
        const [x, y] = [column + codes[4 * cell]!, row + codes[4 * cell + 1]!];
        const [w, h] = [Math.exp(codes[4 * cell + 2]!) / 2, Math.exp(codes[4 * cell + 3]!) / 2];
        boxes.push((x - w) * stride, (y - h) * stride, (x + w) * stride, (y + h) * stride);
        scores.push(value);
        for (let k = 0; k < 10; k++) {
          landmarks.push((points[10 * cell + k]! + (k % 2 ? row : column)) * stride);
        }
      }
    }
    return toPicture(suppress(boxes, scores, landmarks), width, height, scale);
  }
}

/** Of boxes that overlap the best one is kept. */
function suppress(boxes: number[], scores: number[], landmarks: number[]): Raw {
  const box = (index: number) => boxes.slice(4 * index, 4 * index + 4) as Face["box"];
  const kept: number[] = [];
  for (const index of [...scores.keys()].sort((a, b) => scores[b]! - scores[a]!)) {
    if (kept.every((other) => iou(box(index), box(other)) <= OVERLAP)) kept.push(index);
  }
  return {
    boxes: Float32Array.from(kept.flatMap(box)),
    scores: Float32Array.from(kept, (index) => scores[index]!),
    landmarks: Float32Array.from(kept.flatMap((i) => landmarks.slice(10 * i, 10 * i + 10))),
  };
}

function iou(a: Face["box"], b: Face["box"]): number {
  const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const tall = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (wide <= 0 || tall <= 0) return 0;
  const area = (c: Face["box"]) => (c[2] - c[0]) * (c[3] - c[1]);
  return (wide * tall) / (area(a) + area(b) - wide * tall);
}
