// The scores of a study's slices as bars: a click, a drag or an arrow key leads to the slice.

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;
const GROUND = 3; // height of the base line, which also shows slices without a score

export class Strip {
  /** `go` is called with the slice that was asked for. */
  constructor(element, go) {
    this.element = element;
    this.total = 1;
    const ask = (event) => {
      const box = element.getBoundingClientRect();
      const slice = Math.floor(((event.clientX - box.left) / box.width) * this.total);
      go(Math.min(Math.max(slice, 0), this.total - 1));
    };
    element.addEventListener("pointerdown", (event) => {
      element.setPointerCapture(event.pointerId);
      ask(event);
    });
    element.addEventListener("pointermove", (event) => { if (event.buttons & 1) ask(event); });
  }

  /** slices: [{slice, score, p_value}]; total: all of the volume; a p-value up to `rate` is marked. */
  show(slices, total, rate) {
    this.total = total;
    this.slices = new Map(slices.map((row) => [row.slice, row]));
    this.element.replaceChildren();
    this.element.setAttribute("viewBox", `0 0 ${total} ${HEIGHT}`);
    this.element.setAttribute("aria-valuemin", 0);
    this.element.setAttribute("aria-valuemax", total - 1);
    const highest = Math.max(...slices.map((row) => row.score), 0) || 1;
    this.here = this.#bar("here", 0, 0, 1, HEIGHT);
    this.#bar("ground", 0, HEIGHT - GROUND, total, GROUND);
    for (const row of slices) {
      const height = Math.max((row.score / highest) * (HEIGHT - 4), GROUND);
      const unusual = rate !== null && row.p_value !== null && row.p_value <= rate;
      this.#bar(unusual ? "bar unusual" : "bar", row.slice + 0.1, HEIGHT - height, 0.8, height);
    }
    this.mark = this.#bar("here line-mark", 0, HEIGHT - GROUND, 1, GROUND);
  }

  /** Marks a slice and returns its row; undefined if it has no score. */
  at(slice) {
    for (const bar of [this.here, this.mark]) bar.setAttribute("x", slice);
    this.element.setAttribute("aria-valuenow", slice);
    return this.slices.get(slice);
  }

  #bar(name, x, y, width, height) {
    const bar = document.createElementNS(SVG, "rect");
    for (const [key, value] of Object.entries({ class: name, x, y, width, height })) bar.setAttribute(key, value);
    return this.element.appendChild(bar);
  }
}
