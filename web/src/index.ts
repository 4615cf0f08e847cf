// featherface in the browser: boxes and five landmarks of faces, computed where the picture is.

export { wasm, type Backend } from "./backend.ts";
export { Detector, type DetectOptions, type DetectorOptions } from "./detector.ts";
export type { Detections, Face, Point } from "./faces.ts";
export type { Size } from "./size.ts";
export type { Source } from "./source.ts";
