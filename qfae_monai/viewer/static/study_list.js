// The list of studies, highest score first, and those that failed.

import { number, pValue } from "./numbers.js";

export class StudyList {
  /** `open` is called with the name of the study that was chosen. */
  constructor(open) {
    this.open = open;
    this.list = document.getElementById("studies");
    this.counts = document.getElementById("counts");
    document.getElementById("filter").addEventListener("input", (event) => this.#filter(event.target.value));
  }

  show({ studies, failed }) {
    this.buttons = studies.map((row) => {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.study = row.study;
      button.title = row.study;
      button.classList.toggle("above", row.above_threshold === true);
      for (const [name, text] of [["name", row.study], ["score", number(row.score)], ["p", pValue(row.p_value)]]) {
        const cell = button.appendChild(document.createElement("span"));
        cell.className = name;
        cell.textContent = text;
      }
      button.addEventListener("click", () => this.open(row.study));
      return button;
    });
    this.list.replaceChildren(...this.buttons.map((button) => {
      const item = document.createElement("li");
      item.append(button);
      return item;
    }));
    this.above = studies.filter((row) => row.above_threshold).length;
    this.#filter("");
    this.#showFailed(failed);
  }

  mark(study) {
    for (const button of this.buttons) {
      const current = button.dataset.study === study;
      button.setAttribute("aria-current", current);
      if (current) button.scrollIntoView({ block: "nearest" });
    }
  }

  /** The study so many rows below the given one, among those shown. */
  beside(study, rows) {
    const shown = this.buttons.filter((button) => !button.parentElement.hidden);
    const place = shown.findIndex((button) => button.dataset.study === study);
    return shown[Math.min(Math.max(place + rows, 0), shown.length - 1)]?.dataset.study;
  }

  #filter(text) {
    let shown = 0;
    for (const button of this.buttons) {
      button.parentElement.hidden = !button.dataset.study.toLowerCase().includes(text.trim().toLowerCase());
      shown += !button.parentElement.hidden;
    }
    const all = this.buttons.length;
    const counted = shown === all ? `${all} ${all === 1 ? "study" : "studies"}` : `${shown} of ${all} studies`;
    this.counts.textContent = `${counted}, ${this.above} above threshold`;
  }

  #showFailed(failed) {
    const details = document.getElementById("failed");
    details.hidden = !failed.length;
    details.querySelector("summary").textContent = `${failed.length} without a result`;
    details.querySelector("ul").replaceChildren(...failed.map(({ study, reason }) => {
      const item = document.createElement("li");
      item.append(Object.assign(document.createElement("b"), { textContent: study }), reason);
      return item;
    }));
  }
}
