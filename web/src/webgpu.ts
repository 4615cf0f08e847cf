// The graphics processor, for `Detector.create({ backend: [wasm, webgpu] })`. An entry of its own,
// so that pages which do not ask for it do not carry its 27 MB.

import type { Backend } from "./backend.ts";

/** The graphics processor, where the browser lets pages use it; one that is only imitated is not. */
export const webgpu: Backend = {
  name: "WebGPU",
  start: () => new Worker(new URL("./worker-webgpu.js", import.meta.url), { type: "module" }),
  script: new URL("./ort-wasm-simd-threaded.asyncify.mjs", import.meta.url),
  wasm: new URL("./ort-wasm-simd-threaded.asyncify.wasm", import.meta.url),
  isThere: async () => {
    const adapter = await navigator.gpu?.requestAdapter();
    return !!adapter && !adapter.info.isFallbackAdapter;
  },
};
