// Labels for many images: sent until the server says that they are on disk, and taken back as one.
//
// A batch is in the browser's storage before it is sent. Each of its answers has an id of its own,
// so that sending it again, also by another tab or the next page, records nothing twice.

import { announce, notice, post, reviewer, serverMs } from "./api.js";
import { newId } from "./outbox.js";
import { tileOf } from "./grid_tiles.js";

const AT_ONCE = 200;
const RETRY_MS = [500, 1000, 2000, 4000];
const MAX_UNDO = 10;

let prefix = "";
let undoKey = "";
let onState = () => {}; // called with true when a batch is recorded
let isSending = false;
let tries = 0;
let timer = 0;
let batches = [];
let undoable = [];

export const canUndo = () => undoable.length > 0;
export const nWaiting = () => batches.reduce((sum, batch) => sum + batch.answers.length, 0);

// Takes up what an earlier page has not sent, and calls `listener` whenever something has changed.
export function startAnswers(lake, listener) {
  prefix = `assay-grid ${lake} ${reviewer} `;
  undoKey = `assay-grid-undo ${lake} ${reviewer}`;
  onState = listener;
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(prefix)) batches.push(JSON.parse(localStorage.getItem(key)));
    }
    batches.sort((a, b) => a.at - b.at);
    undoable = JSON.parse(sessionStorage.getItem(undoKey) ?? "[]");
  } catch {
    // Storage is forbidden or damaged: this page keeps its batches in memory.
  }
  send();
}

function keep(batch) {
  try {
    if (batch.answers.length) localStorage.setItem(prefix + batch.id, JSON.stringify(batch));
    else localStorage.removeItem(prefix + batch.id);
    sessionStorage.setItem(undoKey, JSON.stringify(undoable));
  } catch {
    // Full or forbidden: the batch is still in memory.
  }
}

function setLabel(id, label) {
  const tile = tileOf(id);
  if (!tile) return;
  tile.querySelector(".label").textContent = label;
  tile.classList.add("done");
  tile.dataset.label = label;
  tile.dataset.evidence = label ? "review" : "";
  const parts = tile.getAttribute("aria-label").split(", ");
  parts[parts.length - 1] = label ? `label ${label}` : "no label";
  tile.setAttribute("aria-label", parts.join(", "));
}

// Labels images with { label, title, reason, note, shown, run }.
export function give(ids, { label, title, reason, note, shown, run }) {
  const rest = { label, reason: reason || null, note: note || null, shown, run_id: run || null, view: "grid" };
  const answers = ids.map((id) => ({ answer_id: newId(), image_id: id, ...rest }));
  const before = Object.fromEntries(ids.map((id) => [id, tileOf(id)?.dataset.label ?? ""]));
  put({ title, answers, before, label });
}

// Takes back the last batch as a whole.
export function undo() {
  const last = undoable.pop();
  if (!last) return;
  const answers = last.answers.map(([answer, id]) => ({
    answer_id: newId(),
    image_id: id,
    label: "unsure",
    withdraws: answer,
    view: "grid",
  }));
  put({ title: last.title, answers, before: last.before, label: null });
}

function put(batch) {
  const whole = { ...batch, id: newId(), at: serverMs(), recorded: [], refused: [] };
  batches.push(whole);
  keep(whole);
  send();
}

async function send() {
  onState();
  if (isSending || !batches.length) return;
  isSending = true;
  clearTimeout(timer);
  const batch = batches[0];
  try {
    while (batch.answers.length) await sendSome(batch);
    tries = 0;
    finish(batch);
  } catch (problem) {
    const n = nWaiting();
    const kept = n === 1 ? "1 answer is" : `${n} answers are`;
    // Only a new page has a new login and a new form token.
    const isOver = [401, 403, 409].includes(problem.status);
    notice(`${kept} kept in this browser${isOver ? "" : " and sent again"}: ${problem.message}.`);
    timer = setTimeout(send, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    isSending = false;
    onState();
    return;
  }
  isSending = false;
  send();
}

async function sendSome(batch) {
  const some = batch.answers.slice(0, AT_ONCE);
  const answers = some.map((answer) => ({ ...answer, at_ms: batch.at }));
  let taken;
  try {
    taken = await (await post("/answers", { reviewer, answers })).json();
  } catch (problem) {
    if (problem.status !== 422 && problem.status !== 413) throw problem;
    taken = { recorded: [], refused: some.map(({ answer_id }) => ({ answer_id, problem: problem.message })) };
  }
  const recorded = new Set(taken.recorded);
  for (const { answer_id: answer, image_id: id } of some) {
    if (!recorded.has(answer)) continue;
    batch.recorded.push([answer, id]);
    setLabel(id, batch.label ?? batch.before[id] ?? "");
  }
  batch.refused.push(...taken.refused);
  batch.answers = batch.answers.slice(some.length);
  keep(batch);
}

function finish(batch) {
  batches.shift();
  const n = batch.recorded.length;
  if (batch.label !== null && n) {
    undoable.push({ title: batch.title, answers: batch.recorded, before: batch.before });
    undoable = undoable.slice(-MAX_UNDO);
  }
  keep(batch);
  const images = n === 1 ? "1 image" : `${n.toLocaleString("en")} images`;
  const done = batch.label === null ? `Taken back: ${images}` : `Recorded: ${images} ${batch.title}`;
  announce(done);
  const refused = batch.refused.length;
  notice(refused ? `${done}. ${refused} refused: ${batch.refused[0].problem}` : "");
  onState(n > 0);
}
