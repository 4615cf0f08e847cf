// Any picture of a page, made ready to be sent to the worker.

import type { Sent } from "./messages.ts";

/** What faces are looked for in. A `Blob` may be a `File`; a video gives the frame that it shows. */
export type Source =
  | Blob
  | HTMLImageElement
  | ImageBitmap
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame
  | ImageData;

/** What messages call a picture. */
export function nameOf(source: Source): string {
  if (typeof File !== "undefined" && source instanceof File && source.name) return source.name;
  if (is("HTMLImageElement", source)) return (source as HTMLImageElement).currentSrc.slice(0, 200);
  return `the ${source?.constructor?.name ?? typeof source} given`;
}

/**
 * A copy of the picture, so that the caller's stays as it is.
 *
 * @throws TypeError something that is no picture.
 * @throws Error the picture has no pixels (yet), or comes from a site that does not share them.
 */
export async function toSent(source: Source): Promise<Sent> {
  if (source instanceof Blob) return source; // decoded in the worker
  const name = nameOf(source);
  if (is("HTMLImageElement", source)) {
    await (source as HTMLImageElement).decode().catch(() => {
      throw new Error(`${name}: could not be loaded or decoded by the browser`);
    });
  } else if (is("HTMLVideoElement", source)) {
    const { readyState } = source as HTMLVideoElement;
    if (readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
      throw new Error(`${name}: shows no frame yet; wait for its event "loadeddata"`);
    }
  } else if (!KINDS.some((kind) => is(kind, source))) {
    throw new TypeError(`${name} is no picture; wanted a Blob, ${KINDS.join(", ")}`);
  }
  try {
    return await createImageBitmap(source, { colorSpaceConversion: "none" });
  } catch (error) {
    throw new Error(`${name}: gives no pixels (${reason(error)})`);
  }
}

/** Says why a bitmap could not be sent: most often it is another site's. */
export function unsendable(source: Source, error: unknown): Error {
  return new Error(
    `${nameOf(source)}: its pixels may not be read (${reason(error)}); a picture of another site ` +
      'needs crossorigin="anonymous", and that site has to allow it',
  );
}

export function reason(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.message : String(error);
}

const KINDS = [
  "HTMLImageElement",
  "ImageBitmap",
  "HTMLCanvasElement",
  "OffscreenCanvas",
  "HTMLVideoElement",
  "VideoFrame",
  "ImageData",
] as const;

/** Some of these classes do not exist in every browser, nor in a worker. */
function is(kind: (typeof KINDS)[number], source: unknown): boolean {
  const known = (globalThis as Record<string, unknown>)[kind];
  return typeof known === "function" && source instanceof known;
}
