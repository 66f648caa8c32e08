// The report's volumes: a slider through the slices of each, and a filter and an order for all of them.
"use strict";

const list = document.getElementById("cases");
const cards = Array.from(document.querySelectorAll(".case"));
const facts = JSON.parse(document.getElementById("case-data").textContent);
let current = null;

function show(card, index) {
  const { captions, places, tile } = facts[card.dataset.index];
  card.querySelectorAll(".views svg").forEach((view, row) => {
    view.setAttribute("viewBox", `${index * tile} ${row * tile} ${tile} ${tile}`);
  });
  card.querySelector(".views").setAttribute("aria-label", `${card.dataset.case}: ${captions[index]}`);
  card.querySelector(".caption").textContent = captions[index];
  const slider = card.querySelector("input");
  if (slider) {
    slider.value = index;
    slider.setAttribute("aria-valuetext", captions[index]);
    const here = card.querySelector(".here");
    here.setAttribute("x1", places[index]);
    here.setAttribute("x2", places[index]);
    current = card;
  }
}

function nearest(places, place) {
  let best = 0;
  places.forEach((other, index) => {
    if (Math.abs(other - place) < Math.abs(places[best] - place)) best = index;
  });
  return best;
}

for (const card of cards) {
  const slider = card.querySelector("input");
  if (!slider) continue;
  slider.addEventListener("input", () => show(card, Number(slider.value)));
  const trace = card.querySelector(".trace");
  const follow = (event) => {
    const box = trace.getBoundingClientRect();
    const { places } = facts[card.dataset.index];
    show(card, nearest(places, ((event.clientX - box.left) / box.width) * 1000));
  };
  trace.addEventListener("pointerdown", (event) => {
    trace.setPointerCapture(event.pointerId);
    follow(event);
  });
  trace.addEventListener("pointermove", (event) => {
    if (event.buttons) follow(event);
  });
  card.addEventListener("pointerenter", () => { current = card; });
}

// Arrow keys move the volume last used or pointed at; a focused slider has the browser's own keys.
document.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !current || current.hidden || event.altKey || event.ctrlKey || event.metaKey) return;
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const slider = current.querySelector("input");
  const index = Math.min(Math.max(Number(slider.value) + step, 0), Number(slider.max));
  show(current, index);
  event.preventDefault();
});

const wanted = { text: "filter-text", label: "filter-label", outcome: "filter-outcome", order: "sort" };
const controls = Object.fromEntries(Object.entries(wanted).map(([name, id]) => [name, document.getElementById(id)]));

function arrange() {
  const text = controls.text.value.trim().toLowerCase();
  const { label, outcome, order } = controls;
  let count = 0;
  for (const card of cards) {
    const { dataset } = card;
    const fits = (!text || `${dataset.case} ${dataset.patient}`.toLowerCase().includes(text))
      && (!label.value || dataset.label === label.value)
      && (!outcome || !outcome.value || dataset.outcome === outcome.value);
    card.hidden = !fits;
    count += fits;
  }
  const score = (card) => (card.dataset.score === "" ? -Infinity : Number(card.dataset.score));
  const orders = {
    highest: (a, b) => score(b) - score(a),
    lowest: (a, b) => score(a) - score(b),
    name: (a, b) => a.dataset.case.localeCompare(b.dataset.case, undefined, { numeric: true }),
  };
  cards.sort(orders[order.value]);
  list.append(...cards);
  document.getElementById("shown").textContent = `${count} of ${cards.length} shown`;
}

// On paper nothing stays folded.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});

if (list) {
  for (const control of Object.values(controls)) control?.addEventListener("input", arrange);
  document.getElementById("large").addEventListener("input", (event) => {
    list.classList.toggle("large", event.target.checked);
  });
  current = cards.find((card) => card.querySelector("input")) ?? null;
}
