// The faces as a table: the same as the picture shows, for eyes that cannot see it.

import type { Face } from "featherface";

const MOST = 200; // rows that are of use to anybody

export function fill(rows: HTMLTableSectionElement, faces: readonly Face[]): void {
  rows.replaceChildren(
    ...faces.slice(0, MOST).map(({ box, score }, index) => {
      const [x1, y1, x2, y2] = box.map(Math.round) as Face["box"];
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      head.textContent = String(index + 1);
      row.append(head);
      for (const text of [score.toFixed(2), `${x1}, ${y1}`, `${x2 - x1} × ${y2 - y1}`]) {
        row.insertCell().textContent = text;
      }
      return row;
    }),
  );
}
