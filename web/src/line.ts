// The line to a worker: questions with numbers, each with a promise that its answer fulfils.

import type { Answer, Question } from "./messages.ts";

type Without<T> = T extends unknown ? Omit<T, "id"> : never;

/** A worker that answers. */
export class Line {
  private readonly waiting = new Map<number, { resolve: (a: Answer) => void; reject: Reject }>();
  private last = 0;
  private broken: Error | null = null;

  constructor(private readonly worker: Worker) {
    worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.settle(data));
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      const why = event.message || "its script could not be loaded";
      this.close(new Error(`the detector's worker has stopped (${why}); create a new Detector`));
    });
  }

  /**
   * Sends a question, and gives its answer.
   *
   * @throws Error what the worker answers, or that it has ended.
   */
  ask(question: Without<Question>, transfer: Transferable[] = []): Promise<Answer> {
    if (this.broken) return Promise.reject(this.broken);
    const id = ++this.last;
    return new Promise((resolve, reject) => {
      this.worker.postMessage({ ...question, id }, transfer); // throws if it cannot be sent
      this.waiting.set(id, { resolve, reject });
    });
  }

  /** Ends the worker and gives back its memory; what still waits fails with `why`. */
  close(why: Error): void {
    this.worker.terminate();
    this.broken ??= why;
    for (const { reject } of this.waiting.values()) reject(this.broken);
    this.waiting.clear();
  }

  private settle(answer: Answer): void {
    const asker = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if (answer.kind !== "failed") asker?.resolve(answer);
    else if (answer.error === "RangeError") asker?.reject(new RangeError(answer.message));
    else asker?.reject(new Error(answer.message));
  }
}

type Reject = (error: Error) => void;
