// The ways in: the file dialogue, dropping anywhere, pasting.

/** Calls `take` with every picture that the visitor brings. */
export function listen(
  button: HTMLButtonElement,
  input: HTMLInputElement,
  hint: HTMLElement,
  take: (files: File[]) => void,
): void {
  const bring = (files: Iterable<File> | null | undefined) => {
    const all = [...(files ?? [])];
    if (all.length) take(all);
  };
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    bring(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", (event) => bring(event.clipboardData?.files));

  let depth = 0; // of elements that the pointer is over
  const over = (change: number) => {
    depth = change === 0 ? 0 : Math.max(0, depth + change);
    hint.hidden = depth === 0;
  };
  const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
  document.addEventListener("dragenter", (event) => hasFiles(event) && over(1));
  document.addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
  document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    over(0);
    bring(event.dataTransfer?.files);
  });
}
