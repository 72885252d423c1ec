// The tiles: one has the focus, any number is selected, also on pages that are not shown.

import { announce } from "./api.js";

export const selected = new Set();
let anchor = null;
const listeners = [];

const tiles = () => [...document.querySelectorAll("#tiles > li")];
export const tileOf = (id) => document.querySelector(`#tiles > li[data-id="${id}"]`);
export const focused = () => document.querySelector('#tiles > li[tabindex="0"]');

// Calls a function whenever the focus or the selection has changed.
export const onChange = (listener) => listeners.push(listener);

function changed() {
  for (const tile of tiles()) tile.setAttribute("aria-selected", String(selected.has(tile.dataset.id)));
  for (const listener of listeners) listener();
}

function focusOn(tile) {
  if (!tile) return;
  for (const other of tiles()) other.tabIndex = other === tile ? 0 : -1;
  if (document.activeElement !== tile) tile.focus();
  tile.scrollIntoView({ block: "nearest" });
  changed();
}

function selectRange(from, to) {
  const all = tiles();
  const ends = [all.findIndex((tile) => tile.dataset.id === from), all.indexOf(to)].sort((a, b) => a - b);
  for (const tile of all.slice(Math.max(0, ends[0]), ends[1] + 1)) selected.add(tile.dataset.id);
}

function toggle(tile) {
  const id = tile.dataset.id;
  if (!selected.delete(id)) selected.add(id);
  anchor = id; // a range begins at the tile that was chosen last, wherever the focus has gone
}

export function selectIds(ids) {
  for (const id of ids) selected.add(id);
  changed();
}

export function selectNone() {
  selected.clear();
  changed();
}

// Shows the selection on tiles that have just been put in place.
export function settleTiles({ focus = false } = {}) {
  anchor = null;
  if (focus) focusOn(tiles()[0]);
  changed();
}

function perRow(all) {
  const second = all.findIndex((tile) => tile.offsetTop > all[0].offsetTop);
  return second < 0 ? all.length : second;
}

function target(key, all, at) {
  const row = perRow(all);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, PageUp: -3 * row, PageDown: 3 * row };
  if (key === "Home") return 0;
  if (key === "End") return all.length - 1;
  if (!(key in steps)) return null;
  const next = at + steps[key];
  if (key.startsWith("Page")) return Math.min(all.length - 1, Math.max(0, next));
  return next < 0 || next >= all.length ? at : next;
}

function press(event) {
  const tile = event.target.closest("#tiles > li");
  if (!tile || event.altKey) return;
  const all = tiles();
  const isSelectAll = event.key.toLowerCase() === "a" && (event.ctrlKey || event.metaKey);
  if (isSelectAll) {
    selectIds(all.map((one) => one.dataset.id));
    announce(`${selected.size} selected`);
  } else if (event.ctrlKey || event.metaKey) {
    return;
  } else if (event.key === " ") {
    if (event.shiftKey && anchor) selectRange(anchor, tile);
    else toggle(tile);
    focusOn(tile);
  } else {
    const next = target(event.key, all, all.indexOf(tile));
    if (next === null) return;
    if (event.shiftKey) {
      selectRange(tile.dataset.id, all[next]);
    }
    focusOn(all[next]);
  }
  event.preventDefault();
  event.stopPropagation();
}

function click(event) {
  const tile = event.target.closest("#tiles > li");
  if (!tile) return;
  if (event.shiftKey && anchor) selectRange(anchor, tile);
  else toggle(tile);
  focusOn(tile);
}

// Takes keys and the mouse on the tiles, whichever are shown.
export function watchTiles(results) {
  results.addEventListener("keydown", press);
  results.addEventListener("click", click);
  results.addEventListener("focusin", (event) => {
    const tile = event.target.closest("#tiles > li");
    if (tile && tile.tabIndex !== 0) focusOn(tile);
    else if (tile) changed();
  });
  // Errors of images do not bubble.
  results.addEventListener("error", (event) => event.target.closest?.(".frame")?.classList.add("gone"), true);
}
