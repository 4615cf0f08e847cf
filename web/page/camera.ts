// The webcam: one frame after the other, each shown together with what was found in it.

const WANTED = { video: { width: { ideal: 1280 }, height: { ideal: 720 } }, audio: false };

/** A running camera; made by `openCamera`. */
export class Camera {
  private isOn = true;

  constructor(
    private readonly stream: MediaStream,
    private readonly video: HTMLVideoElement,
  ) {}

  /** Calls `look` with frame after frame, which it has to close, until the camera is stopped. */
  async run(look: (frame: ImageBitmap) => Promise<void>): Promise<void> {
    while (this.isOn) {
      await new Promise((resolve) => requestAnimationFrame(resolve));
      if (!this.isOn) return;
      await look(await createImageBitmap(this.video));
    }
  }

  /** Lets go of the device. */
  stop(): void {
    this.isOn = false;
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}

/** @throws Error there is no camera, or it may not be used; the message says what to do. */
export async function openCamera(): Promise<Camera> {
  if (!navigator.mediaDevices) {
    throw new Error("The camera needs a page that is served by https, or from this machine.");
  }
  let stream: MediaStream;
  try {
    stream = await navigator.mediaDevices.getUserMedia(WANTED);
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    const text =
      {
        NotAllowedError: "The camera was refused. Allow it beside the address bar, and start again.",
        NotFoundError: "No camera was found. Connect one, and start again.",
        NotReadableError: "The camera is used by another program. Close that, and start again.",
      }[name] ?? `The camera cannot be opened (${name || error}).`;
    throw new Error(text);
  }
  const video = document.createElement("video");
  video.muted = true;
  video.playsInline = true;
  video.srcObject = stream;
  await video.play();
  return new Camera(stream, video);
}
