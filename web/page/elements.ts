// The page's elements, found once; a missing one is told at once, not when it is needed.

function find<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`index.html: has no ${kind.name} called ${id}`);
}

export const elements = {
  canvas: find("canvas", HTMLCanvasElement),
  frame: find("frame", HTMLElement),
  drop: find("drop", HTMLElement),
  status: find("status", HTMLElement),
  pictures: find("pictures", HTMLUListElement),
  choose: find("choose", HTMLButtonElement),
  file: find("file", HTMLInputElement),
  camera: find("camera", HTMLButtonElement),
  snap: find("snap", HTMLButtonElement),
  controls: find("controls", HTMLFormElement),
  score: find("score", HTMLInputElement),
  scoreValue: find("score-value", HTMLOutputElement),
  size: find("size", HTMLSelectElement),
  graphics: find("graphics", HTMLInputElement),
  graphicsChoice: find("graphics-choice", HTMLElement),
  caution: find("caution", HTMLElement),
  savePicture: find("save-picture", HTMLButtonElement),
  saveJson: find("save-json", HTMLButtonElement),
  caption: find("caption", HTMLElement),
  rows: find("rows", HTMLTableSectionElement),
  offline: find("offline", HTMLElement),
};
