// The queue: shows one image after the other and takes answers by keys.

import { announce, notice, post, reviewer } from "./api.js";
import { Ahead } from "./ahead.js";
import { bind } from "./keys.js";
import { Outbox, newId } from "./outbox.js";
import { Viewer } from "./viewer.js";

const MOST_UNDOS = 30;
const DOUBLE_CLICK_MS = 150;
const UNUSED_MS = 10 * 60 * 1000;

const at = (id) => document.getElementById(id);
const queue = at("queue");
const reason = at("reason");
const note = at("note");
const viewer = new Viewer(at("stage"), at("details"));
const answered = [];
let nAnswered = 0;
let lastAnswerMs = 0;
let lastUseMs = 0;
let message = "Loading the first image …";

const outbox = new Outbox(queue.dataset.lake, showOutbox);
const ahead = new Ahead({ second: queue.dataset.second }, showIfEmpty, (text) => {
  message = text;
  if (!viewer.item) viewer.clear(message);
});

function showOutbox(box) {
  at("saved").textContent = box.size ? `${box.size} not saved yet` : "all saved";
  at("saved").classList.toggle("waiting", box.size > 0);
  if (!box.isStored) notice("This browser stores nothing: keep the page open until all is saved.");
  const refused = box.refused;
  const section = at("refused");
  section.hidden = !refused.length;
  section.querySelector("ul").replaceChildren(
    ...refused.map(({ answer, problem }) => {
      const line = document.createElement("li");
      line.textContent = `${answer.label} for image ${answer.image_id.slice(0, 12)}: ${problem}`;
      return line;
    }),
  );
}

function showIfEmpty() {
  if (!viewer.item) showNext();
}

function showNext() {
  const item = ahead.take();
  if (!item) {
    viewer.clear(ahead.size ? "Loading the next image …" : message);
    return;
  }
  message = "Loading the next image …";
  viewer.show(item);
}

function answer(button) {
  const item = viewer.item;
  if (!item) return;
  const { label, title } = button.dataset;
  const given = {
    answer_id: newId(),
    image_id: item.imageId,
    label,
    ticket: item.ticket,
    reason: reason.value || null,
    note: note.value.trim() || null,
    shown: [...item.shown],
    seconds: (performance.now() - item.seenMs) / 1000,
    run_id: item.shown.has("score") ? item.runId : null,
  };
  outbox.put(given);
  answered.push({ item, given });
  if (answered.length > MOST_UNDOS) answered.shift();
  nAnswered += 1;
  lastAnswerMs = performance.now();
  reason.value = "";
  note.value = "";
  showNext();
  at("answered").textContent = `${nAnswered} answered`;
  announce(`${title}. ${viewer.item ? "Next image, hidden." : "No further image yet."}`);
}

function undo() {
  const last = answered.pop();
  if (!last) {
    announce("Nothing to take back since this page was loaded");
    return;
  }
  const { item, given } = last;
  outbox.put({
    answer_id: newId(),
    image_id: given.image_id,
    label: "unsure",
    ticket: given.ticket,
    withdraws: given.answer_id,
  });
  if (viewer.item) ahead.putBack(viewer.item);
  viewer.show(item);
  reason.value = given.reason ?? "";
  note.value = given.note ?? "";
  nAnswered -= 1;
  at("answered").textContent = `${nAnswered} answered`;
  announce(`Taken back: ${given.label}. The image is here again.`);
  post("/queue/lease", { image_ids: [item.imageId] }).catch(() => {});
}

// The lease stays until it ends by its time, so that nobody is shown the image at once.
function skip() {
  if (!viewer.item) return;
  ahead.forget(viewer.item.imageId);
  showNext();
  announce("Skipped. Next image, hidden.");
}

const held = () => [...(viewer.item ? [viewer.item.imageId] : []), ...ahead.imageIds];

async function renew() {
  const ids = held();
  // A page that nobody looks at gives its images back when their leases end.
  if (!ids.length || performance.now() - lastUseMs > UNUSED_MS) return;
  try {
    const { kept } = await (await post("/queue/renew", { image_ids: ids })).json();
    ahead.keepOnly(kept);
    const mine = viewer.item?.imageId;
    if (mine && !kept.includes(mine)) {
      announce("Another reviewer may have this image too, since it was here for so long.");
    }
  } catch {
    // The server is away; it keeps leases while it is.
  }
}

for (const button of document.querySelectorAll("button.label")) {
  const { keys, title } = button.dataset;
  bind({
    keys: keys.split(" "),
    group: "Answer",
    label: `${title}: ${button.title}`,
    run: (event) => event.repeat || answer(button),
  });
  button.addEventListener("click", (event) => {
    // A key that is held down on a button clicks it again and again.
    if (performance.now() - lastAnswerMs < DOUBLE_CLICK_MS) return;
    answer(button);
    // Otherwise Space would press the button again instead of showing the next image.
    if (event.detail) button.blur();
  });
}

const acts = [
  ["Answer", ["z", "Backspace"], "Take back the last answer", undo, "undo"],
  ["Answer", ["k"], "Skip: the image comes up again later", skip, "skip"],
  ["Answer", ["e"], "Choose a reason, before the answer", () => reason.focus()],
  ["Answer", ["n"], "Write a note, before the answer; Escape leaves it", () => note.focus()],
  ["Image", [" ", "b"], "Show or hide the image", () => viewer.toggleVeil(), "toggle-shown"],
  ["Image", ["+", "="], "Zoom in", () => viewer.zoomBy(1)],
  ["Image", ["-"], "Zoom out", () => viewer.zoomBy(-1)],
  ["Image", ["0"], "The whole image", () => viewer.zoomBy(0)],
  ["Image", ["ArrowLeft"], "Move a zoomed image to the left", () => viewer.pan(-1, 0)],
  ["Image", ["ArrowRight"], "Move it to the right", () => viewer.pan(1, 0)],
  ["Image", ["ArrowUp"], "Move it up", () => viewer.pan(0, -1)],
  ["Image", ["ArrowDown"], "Move it down", () => viewer.pan(0, 1)],
  ["Details", ["s"], "Score and reasons", () => viewer.toggle("verdict"), "toggle-verdict"],
  ["Details", ["m"], "Map of the score", () => viewer.toggle("map"), "toggle-map"],
  ["Details", ["i"], "Provenance and history", () => viewer.toggle("about"), "toggle-about"],
  ["Details", ["c"], "Near copies with their labels", () => viewer.toggle("copies"), "toggle-copies"],
];
for (const [group, keys, label, run, id] of acts) {
  bind({ keys, group, label, run });
  if (!id) continue;
  at(id).addEventListener("click", (event) => {
    run();
    if (event.detail) event.currentTarget.blur();
  });
}

at("answer").addEventListener("submit", (event) => event.preventDefault());
at("refused").querySelector("button").addEventListener("click", () => outbox.dismissRefused());
at("stage").addEventListener("click", (event) => {
  if (event.target.closest(".shot.veiled")) viewer.toggleVeil();
});
at("details").addEventListener("click", (event) => {
  const thumb = event.target.closest(".thumb");
  if (!thumb) return;
  const isVeiled = thumb.classList.toggle("veiled");
  thumb.setAttribute("aria-pressed", String(!isVeiled));
});

for (const kind of ["keydown", "pointerdown"]) {
  addEventListener(kind, () => (lastUseMs = performance.now()), { capture: true, passive: true });
}
setInterval(renew, (Number(queue.dataset.leaseS) * 1000) / 4);
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

if (reviewer) ahead.fill();
