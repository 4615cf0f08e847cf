// The detector as a page sees it: created once, asked often, closed when it is no longer needed.

import { wasm, type Backend } from "./backend.ts";
import type { Detections } from "./faces.ts";
import { Line } from "./line.ts";
import { checkScore, checkSize, type Size } from "./size.ts";
import { nameOf, reason, toSent, unsendable, type Source } from "./source.ts";

const TRIAL_SIDE = 640;
const TRIALS = 3;

/** How to look at a picture. */
export interface DetectOptions {
  /** A face is reported when it scores more than this, 0 to 1; without it 0.5. */
  score?: number;
  /**
   * Pixels that the longer side is scaled to, up or down, or "original"; without it pictures are
   * looked at as they are, and those of more than 1600 pixels shrunk to that.
   */
  size?: Size;
}

/** How to open a detector; `score` and `size` are what `detect` goes by when it is not told. */
export interface DetectorOptions extends DetectOptions {
  /** Address or content of an .onnx file made by `featherface export`; without it the shipped one. */
  model?: URL | string | Uint8Array;
  /** What computes; of several, those that work are timed, and the fastest is kept. */
  backend?: Backend | readonly Backend[];
  /** Processor threads; more than 1 needs a page that is cross-origin isolated. */
  threads?: number;
}

/** Finds faces in pictures, in a worker, so that the page stays responsive. */
export class Detector {
  private constructor(
    private readonly line: Line,
    private readonly defaults: DetectOptions,
    /** Of the backend that computes. */
    readonly backend: string,
  ) {}

  /**
   * Opens the network.
   *
   * @throws RangeError score, size or threads out of range.
   * @throws Error a file cannot be loaded, or is not a featherface network; the message names it.
   */
  static async create(options: DetectorOptions = {}): Promise<Detector> {
    const { model = new URL("./featherface.onnx", import.meta.url), threads = 1 } = options;
    const defaults: DetectOptions = { score: checkScore(options.score ?? 0.5) };
    if (checkSize(options.size) !== undefined) defaults.size = options.size!;
    if (!Number.isInteger(threads) || threads < 1) {
      throw new RangeError(`threads is ${threads}, wanted a whole number of at least 1`);
    }
    if (threads > 1 && !globalThis.crossOriginIsolated) {
      throw new Error(
        `threads is ${threads}, and this page may use 1: serve it with the headers ` +
          "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
      );
    }
    const name = nameOfModel(model);
    const content = model instanceof Uint8Array ? model : await load(model, name);
    const open = async (backend: Backend) => {
      const line = new Line(backend.start());
      const { script, wasm } = backend;
      try {
        const files = { script: script.href, wasm: wasm.href };
        await line.ask({ kind: "open", model: content, name, ...files, threads });
      } catch (error) {
        line.close(error as Error);
        throw error;
      }
      return new Detector(line, defaults, backend.name);
    };
    const wanted = options.backend ?? wasm;
    return "name" in wanted ? open(wanted) : fastest(wanted, open);
  }

  /**
   * Finds the faces of one picture. Several may be asked for at once; they are looked at in turn.
   *
   * @throws Error the picture cannot be read; the message names it and the reason.
   * @throws RangeError score or size out of range, or a picture too large for it.
   * @throws TypeError something that is no picture.
   */
  async detect(source: Source, options: DetectOptions = {}): Promise<Detections> {
    const score = checkScore(options.score ?? this.defaults.score ?? 0.5);
    const size = checkSize(options.size ?? this.defaults.size);
    const picture = await toSent(source);
    const name = nameOf(source);
    const question = { kind: "detect", picture, name, score, ...(size && { size }) } as const;
    try {
      const transfer = picture instanceof Blob ? [] : [picture];
      const answer = await this.line.ask(question, transfer);
      if (answer.kind !== "found") throw new Error(`the worker answered ${answer.kind}`);
      return answer.found;
    } catch (error) {
      throw error instanceof DOMException ? unsendable(source, error) : error;
    } finally {
      if (!(picture instanceof Blob)) picture.close(); // if it has not been handed over
    }
  }

  /** Ends the worker and gives back its memory; what is under way fails. */
  close(): void {
    this.line.close(new Error("the detector was closed; create a new one"));
  }
}

/** Times each that can be opened on an empty picture, and closes all but the best. */
async function fastest(
  backends: readonly Backend[],
  open: (backend: Backend) => Promise<Detector>,
): Promise<Detector> {
  const areThere = await Promise.all(backends.map(({ isThere }) => isThere?.().catch(() => false)));
  const here = backends.filter((_, index) => areThere[index] ?? true);
  let failure: unknown = new Error("none of the backends given is there in this browser");
  let best: { detector: Detector; time: number } | null = null;
  for (const backend of here) {
    let detector: Detector | null = null;
    try {
      detector = await open(backend);
      const time = here.length === 1 ? 0 : await trial(detector);
      if (best && best.time <= time) {
        detector.close();
      } else {
        best?.detector.close();
        best = { detector, time };
      }
    } catch (error) {
      detector?.close();
      failure = error; // its driver fails, or there is not enough memory
    }
  }
  if (!best) throw failure;
  return best.detector;
}

/** Milliseconds that an empty picture takes at best. */
async function trial(detector: Detector): Promise<number> {
  const times: number[] = [];
  for (let look = 0; look <= TRIALS; look++) {
    const { milliseconds } = await detector.detect(new ImageData(TRIAL_SIDE, TRIAL_SIDE));
    if (look) times.push(milliseconds); // the first one is slower
  }
  return Math.min(...times);
}

function nameOfModel(model: URL | string | Uint8Array): string {
  if (model instanceof Uint8Array) return "the model given";
  return new URL(model, location.href).pathname.split("/").pop() || String(model);
}

async function load(address: URL | string, name: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    throw new Error(`${name}: cannot be loaded from ${address} (${reason(error)})`);
  }
  if (!response.ok) {
    throw new Error(
      `${name}: cannot be loaded from ${address} (status ${response.status}); the files of this ` +
        "package have to be served beside its script",
    );
  }
  return new Uint8Array(await response.arrayBuffer());
}
