// The row of small pictures under the large one, each a button.

import { count, decode, facesOf, type Picture } from "./picture.ts";

const WIDTH = 92;
const HEIGHT = 64;

/** Shows all pictures, and tells which one was pressed. */
export class Strip {
  private readonly items = new Map<Picture, HTMLLIElement>();

  constructor(
    private readonly list: HTMLUListElement,
    private readonly onPress: (picture: Picture) => void,
  ) {}

  add(picture: Picture): void {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const canvas = document.createElement("canvas");
    canvas.width = 2 * WIDTH;
    canvas.height = 2 * HEIGHT;
    canvas.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.textContent = picture.name;
    button.title = picture.name;
    const note = document.createElement("span");
    note.className = "note";
    note.textContent = "waiting";
    button.append(canvas, name, note);
    button.addEventListener("click", () => this.onPress(picture));
    item.append(button);
    this.items.set(picture, item);
    this.list.append(item);
  }

  /** Draws the picture small; one that cannot be decoded stays empty. */
  async draw(picture: Picture): Promise<void> {
    const canvas = this.items.get(picture)?.querySelector("canvas");
    if (!canvas || !picture.found) return;
    const bitmap = await decode(picture, 2 * WIDTH);
    const scale = Math.max(canvas.width / bitmap.width, canvas.height / bitmap.height);
    const [wide, tall] = [bitmap.width * scale, bitmap.height * scale];
    const [left, top] = [(canvas.width - wide) / 2, (canvas.height - tall) / 2];
    canvas.getContext("2d")?.drawImage(bitmap, left, top, wide, tall);
    bitmap.close();
  }

  /** Brings the texts up to date. */
  update(score: number, current: Picture | null): void {
    for (const [picture, item] of this.items) {
      const faces = count(facesOf(picture, score).length);
      const note = item.querySelector(".note");
      if (note) note.textContent = picture.error ? "not read" : picture.found ? faces : "waiting";
      item.querySelector("button")?.setAttribute("aria-current", String(picture === current));
    }
  }
}
