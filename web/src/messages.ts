// What the page and its worker say to each other. Each question gets one answer with its number.

import type { Detections } from "./faces.ts";
import type { Size } from "./size.ts";

/** A picture as it can be sent: a file's content, or a bitmap that is handed over. */
export type Sent = Blob | ImageBitmap;

export type Question =
  | {
      kind: "open";
      id: number;
      model: Uint8Array;
      name: string; // of the model, for messages
      script: string; // addresses of ONNX Runtime's two files
      wasm: string;
      threads: number;
    }
  | { kind: "detect"; id: number; picture: Sent; name: string; score: number; size?: Size };

export type Answer =
  | { kind: "opened"; id: number }
  | { kind: "found"; id: number; found: Detections }
  | { kind: "failed"; id: number; message: string; error: "Error" | "RangeError" };
