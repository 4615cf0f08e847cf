// What the benchmark asks of its worker, and gets.

export interface Race {
  ours: Uint8Array; // the two graphs
  yunet: Uint8Array;
  script: string; // addresses of ONNX Runtime's files
  wasm: string;
  picture: { rgba: Uint8ClampedArray; width: number; height: number };
  rounds: number;
  repeats: number;
}

/** Milliseconds of each round: the graph alone, and from decoded pixels to faces in the picture. */
export interface Times {
  graph: number[]; // (rounds,)
  whole: number[]; // (rounds,)
  faces: number; // found at score 0.5, to see that each does its work
}

export interface Result {
  ours: Times;
  yunet: Times;
}
