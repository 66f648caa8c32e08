// The page: what is chosen on it, passed on to the canvas, and what the canvas says, written beside it.

import { NONE, number, pValue } from "./numbers.js";
import { Scene } from "./scene.js";
import { Strip } from "./strip.js";
import { StudyList } from "./study_list.js";

const get = (id) => document.getElementById(id);
const STEPS = 400; // of the threshold's slider
const state = { study: null, scores: null, loading: new AbortController() };
const scene = new Scene(get("canvas"), showCrosshair);
const strip = new Strip(get("strip"), (slice) => scene.goToSlice(slice));
const list = new StudyList(open);

async function start() {
  try {
    await scene.start();
    const listing = await (await load("studies.json")).json();
    get("folder").textContent = listing.folder;
    document.title = `${listing.folder} · QFAE viewer`;
    list.show(listing);
    const asked = decodeURIComponent(location.hash.slice(1));
    await open(listing.studies.some((row) => row.study === asked) ? asked : listing.studies[0].study);
  } catch (error) {
    say(error.message, true);
  }
}

async function open(study) {
  state.loading.abort();
  const { signal } = (state.loading = new AbortController());
  list.mark(study);
  say(`Loading ${study}`);
  try {
    const at = `studies/${encodeURIComponent(study)}`;
    const scores = await (await load(`${at}/scores.json`, signal)).json();
    const wanted = ["image", "anomaly_map", ...(scores.has_mask ? ["mask"] : [])];
    const buffers = wanted.map(async (name) => (await load(`${at}/${name}.nii.gz`, signal)).arrayBuffer());
    const [image, map, mask = null] = await Promise.all(buffers);
    await scene.show({ image, map, mask }, scores, layout(), signal);
    Object.assign(state, { study, scores });
    history.replaceState(null, "", `#${encodeURIComponent(study)}`);
    showStudy(scores);
    say("");
  } catch (error) {
    if (signal.aborted) return;
    list.mark(state.study);
    say(`${study}: ${error.message}`, true);
  }
}

async function load(address, signal) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) throw new Error(`${address}: ${answer.status} ${answer.statusText}`);
  return answer;
}

function showStudy(scores) {
  const calibrated = scores.pixel_threshold;
  get("study-name").textContent = scores.study;
  get("score").textContent = number(scores.score);
  get("p-value").textContent = pValue(scores.p_value);
  get("study-threshold").textContent = number(scores.threshold);
  const rate = `at a false-positive rate of ${number(100 * scores.false_positive_rate)} %`;
  get("verdict").textContent = { true: `Above threshold ${rate}`, false: `Not above threshold ${rate}` }[
    scores.above_threshold] ?? "Not calibrated: no threshold";
  get("verdict").classList.toggle("above", scores.above_threshold === true);
  const remarks = [
    ...(scores.warnings ?? []).map((warning) => `Unlike the training scans: ${warning}`),
    ...(scores.risks ?? []).map((risk) => `Allowed when reading: ${risk}`),
  ];
  get("risks").replaceChildren(...remarks.map((textContent) =>
    Object.assign(document.createElement("li"), { textContent })));
  if (scores.notice) get("notice").textContent = scores.notice;

  const slider = get("threshold");
  slider.max = scene.limit;
  slider.step = scene.limit / STEPS;
  get("limit").textContent = number(scene.limit);
  get("mark").hidden = get("calibrated").disabled = calibrated === null;
  if (calibrated !== null) get("mark").style.left = `calc(8px + (100% - 16px) * ${calibrated / scene.limit})`;
  get("calibrated").textContent = calibrated === null ? "No calibrated threshold" : `Calibrated: ${number(calibrated)}`;
  const outlined = Boolean(scene.mask);
  get("mask-shown").disabled = !outlined;
  get("mask-text").textContent = outlined ? `Map above ${number(calibrated)}, whatever is shown of it` : "Not calibrated: no mask";

  const several = scene.total > 1;
  get("trace").hidden = !several;
  get("layout").hidden = get("convention").hidden = scores.kind === "image";
  get("at-mm-name").hidden = get("at-mm").hidden = scores.kind === "image";
  const judged = scores.slices.some((row) => row.p_value !== null);
  get("slice-legend").textContent = judged ? `orange: p ≤ ${scores.false_positive_rate}` : "";
  strip.show(scores.slices, scene.total, judged ? scores.false_positive_rate : null);
  resetThreshold();
  scene.goToPeak();
}

function resetThreshold() {
  const calibrated = state.scores.pixel_threshold;
  state.threshold = calibrated ?? scene.limit / 2;
  get("threshold").value = state.threshold;
  display();
}

/** Shows what the switches and sliders say; the calibrated threshold exactly, not to the slider's next step. */
function display() {
  const opacity = Number(get("opacity").value);
  get("opacity-text").textContent = `${Math.round(100 * opacity)} %`;
  get("threshold-text").textContent = number(state.threshold);
  drawColours();
  const shown = get("map-shown").checked;
  scene.setDisplay({
    opacity: shown ? opacity : 0, threshold: state.threshold, outlined: get("mask-shown").checked,
  });
}

function showCrosshair({ voxel, mm, slice, image, map, mask }) {
  if (!state.scores) return;
  const calibrated = state.scores.pixel_threshold;
  get("at-map").textContent = number(map);
  get("at-ratio").textContent = calibrated ? number(map / calibrated) : NONE;
  get("at-image").textContent = number(image);
  get("at-mask").textContent = mask === null ? NONE : mask ? "inside" : "outside";
  get("at-voxel").textContent = voxel.join(", ");
  get("at-mm").textContent = mm.map((value) => value.toFixed(1).replace("-", "−")).join(", ");
  const row = strip.at(slice);
  const text = row ? `score ${number(row.score)}, p ${pValue(row.p_value)}` : "not scored";
  get("slice-text").textContent = `Slice ${slice} (0 to ${scene.total - 1}): ${text}`;
  get("strip").setAttribute("aria-valuetext", get("slice-text").textContent);
}

function say(text, failed = false) {
  const message = get("message");
  message.textContent = text;
  message.hidden = !text;
  message.classList.toggle("error", failed);
}

const layout = () => document.querySelector("#layout :checked").value;

/** The map's colours from 0 to its limit; those below the threshold, which are not shown, are dim. */
function drawColours() {
  const place = (state.threshold / scene.limit) * 256;
  const colours = scene.colours().map((value, at) => (at % 4 < 3 ? value : at / 4 < place ? 60 : 255));
  get("colours").getContext("2d").putImageData(new ImageData(colours, 256, 1), 0, 0);
}

function moveThreshold(steps) {
  const slider = get("threshold");
  slider.value = state.threshold + (steps * scene.limit) / 100;
  slider.dispatchEvent(new Event("input"));
}

const press = (id) => { if (!get(id).disabled) get(id).click(); };
const choose = (place) => document.querySelectorAll("#layout input")[place].click();
const KEYS = {
  ArrowLeft: () => scene.goToSlice(scene.slice - 1),
  ArrowRight: () => scene.goToSlice(scene.slice + 1),
  ArrowUp: () => step(-1),
  ArrowDown: () => step(1),
  h: () => scene.goToPeak(),
  a: () => press("map-shown"),
  m: () => press("mask-shown"),
  c: () => press("calibrated"),
  "[": () => moveThreshold(-1),
  "]": () => moveThreshold(1),
  1: () => choose(0), 2: () => choose(1), 3: () => choose(2), 4: () => choose(3),
  "+": () => scene.zoom(1), "=": () => scene.zoom(1), "-": () => scene.zoom(-1), 0: () => scene.fit(),
  "?": () => get("help").showModal(),
};

function step(rows) {
  const study = list.beside(state.study, rows);
  if (study && study !== state.study) open(study);
}

/** Keys belong to the page, but where one is typing, moves a slider or chooses; NiiVue's own keys stay off. */
function key(event) {
  const { target } = event;
  const own = target.matches("input[type=range], input[type=radio]") && event.key.startsWith("Arrow");
  if (get("help").open || own || target.matches("input[type=search]") || event.ctrlKey || event.metaKey || event.altKey) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (target === get("canvas")) event.stopPropagation();
  if (!act || !state.scores) return;
  event.preventDefault();
  act();
}

addEventListener("keydown", key, true);
addEventListener("keyup", (event) => { if (event.target === get("canvas")) event.stopPropagation(); }, true);
for (const id of ["opacity", "map-shown", "mask-shown"]) get(id).addEventListener("input", display);
get("threshold").addEventListener("input", (event) => {
  state.threshold = Number(event.target.value);
  display();
});
get("calibrated").addEventListener("click", resetThreshold);
get("layout").addEventListener("input", () => { if (state.scores) scene.setLayout(layout()); });
get("help-open").addEventListener("click", () => get("help").showModal());
start();
