// The exported graph, opened in ONNX Runtime: pixels in, suppressed faces out.

import * as ort from "onnxruntime-web/wasm"; // the build puts the WebGPU flavour in its place

import type { Raw } from "./faces.ts";
import type { Rgb } from "./rgb.ts";

/** IoU above which the weaker of two boxes goes, as in Python. */
export const OVERLAP = 0.4;

const MAX_FACES = 10_000; // a bound for memory, not a limit to notice
const INPUTS = ["images", "score_threshold", "iou_threshold", "max_faces"];
const OUTPUTS = ["boxes", "scores", "landmarks"];

/** Where ONNX Runtime finds its own two files, and how many threads it may start. */
export interface Runtime {
  script: string;
  wasm: string;
  threads: number;
  provider: "wasm" | "webgpu";
}

/** An open graph. */
export class Network {
  private constructor(private readonly session: ort.InferenceSession) {}

  /**
   * Opens a graph that `featherface export` has made.
   *
   * @param name of the model, for messages.
   * @throws Error it is no graph, or none of ours.
   */
  static async open(model: Uint8Array, name: string, runtime: Runtime): Promise<Network> {
    ort.env.wasm.wasmPaths = { mjs: runtime.script, wasm: runtime.wasm };
    ort.env.wasm.numThreads = runtime.threads;
    ort.env.logLevel = "error";
    const session = await ort.InferenceSession.create(model, {
      executionProviders: [runtime.provider],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3, // errors only
    });
    const missing = [
      ...INPUTS.filter((input) => !session.inputNames.includes(input)),
      ...OUTPUTS.filter((output) => !session.outputNames.includes(output)),
    ];
    if (missing.length) {
      await session.release();
      throw new Error(
        `${name}: is not a featherface network (it lacks ${missing.join(", ")}); ` +
          "make the file with: featherface export",
      );
    }
    return new Network(session);
  }

  /** Finds the faces that score more than `score`, best first, in pixels of the input. */
  async run(input: Rgb, score: number): Promise<Raw> {
    const feeds = {
      images: new ort.Tensor("uint8", input.data, [1, input.height, input.width, 3]),
      score_threshold: new ort.Tensor("float32", [score], [1]),
      iou_threshold: new ort.Tensor("float32", [OVERLAP], [1]),
      max_faces: new ort.Tensor("int64", [BigInt(MAX_FACES)], [1]),
    };
    const answer = await this.session.run(feeds, OUTPUTS);
    const take = (output: string) => (answer[output]!.data as Float32Array).slice();
    try {
      return { boxes: take("boxes"), scores: take("scores"), landmarks: take("landmarks") };
    } finally {
      for (const tensor of [...Object.values(feeds), ...Object.values(answer)]) tensor.dispose();
    }
  }
}
