// What computes: a worker and the two files of ONNX Runtime that it needs.

/** A way to run the network. */
export interface Backend {
  name: string;
  /** Starts the worker. */
  start: () => Worker;
  /** Addresses of ONNX Runtime's script and WebAssembly. */
  script: URL;
  wasm: URL;
  /** Whether it is worth a trial here; without it always. */
  isThere?: () => Promise<boolean>;
}

/** The processor, by WebAssembly with 128-bit vectors: runs everywhere. */
export const wasm: Backend = {
  name: "WebAssembly",
  start: () => new Worker(new URL("./worker.js", import.meta.url), { type: "module" }),
  script: new URL("./ort-wasm-simd-threaded.mjs", import.meta.url),
  wasm: new URL("./ort-wasm-simd-threaded.wasm", import.meta.url),
};
