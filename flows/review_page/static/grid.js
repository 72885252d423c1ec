// The grid: results in place of the page, what is shown of an image, and the keys.

import { announce, get, notice } from "./api.js";
import { bind } from "./keys.js";
import { focused, onChange, selectIds, selectNone, selected, settleTiles, tileOf, watchTiles } from "./grid_tiles.js";
import { canUndo, give, nWaiting, startAnswers, undo } from "./grid_answers.js";

const find = (selector) => document.querySelector(selector);
const shown = new Set();
let newest = 0;

// --- what is shown of an image

function paint(tile) {
  const image = tile.querySelector("img");
  const isShown = shown.has(tile.dataset.id);
  image.classList.toggle("veil", !isShown);
  const source = `/grid/image/${tile.dataset.id}/${isShown ? "thumbnail" : "veil"}.webp`;
  if (!image.src.endsWith(source)) image.src = source;
}

function toggleShown(ids, isShown) {
  for (const id of ids) {
    if (isShown) shown.add(id);
    else shown.delete(id);
    const tile = tileOf(id);
    if (tile) paint(tile);
  }
  about();
}

const idsHere = () => [...document.querySelectorAll("#tiles > li")].map((tile) => tile.dataset.id);

function showOne() {
  const tile = focused();
  if (tile) toggleShown([tile.dataset.id], !shown.has(tile.dataset.id));
}

function showAll() {
  const ids = idsHere();
  toggleShown(ids, !ids.every((id) => shown.has(id)));
}

// --- the image that has the focus, in words

const FACTS = [
  ["name", "Name"],
  ["score", "Score"],
  ["decision", "Decision"],
  ["reasons", "Reasons"],
  ["label", "Label"],
  ["evidence", "Label by"],
  ["domain", "Domain"],
  ["seen", "Last seen"],
  ["size", "File"],
  ["uri", "Address"],
  ["id", "Id"],
];

function about() {
  const tile = focused();
  const large = find("#large");
  const isShown = Boolean(tile && shown.has(tile.dataset.id));
  const ids = idsHere();
  find("#show-one").setAttribute("aria-pressed", String(isShown));
  find("#show-all").setAttribute("aria-pressed", String(ids.length > 0 && ids.every((id) => shown.has(id))));
  find("#n-selected").textContent = selected.size.toLocaleString("en");
  large.hidden = !tile;
  find("#large-text").hidden = Boolean(tile);
  const facts = find("#facts");
  facts.replaceChildren();
  if (!tile) return;
  const source = isShown ? `/image/${tile.dataset.id}/view.jpg` : `/grid/image/${tile.dataset.id}/veil.webp`;
  if (!large.src.endsWith(source)) large.src = source;
  large.classList.toggle("veil", !isShown);
  large.alt = isShown ? tile.dataset.name : "Hidden image";
  for (const [name, title] of FACTS) {
    const value = tile.dataset[name];
    if (!value) continue;
    const term = document.createElement("dt");
    term.textContent = title;
    const text = document.createElement("dd");
    const isolated = document.createElement("bdi");
    isolated.textContent = value;
    text.append(isolated);
    facts.append(term, text);
  }
}

// --- results by address

async function load(address, { push = true, focus = false } = {}) {
  const mine = ++newest;
  let page;
  try {
    const text = await (await get(address)).text();
    page = new DOMParser().parseFromString(text, "text/html");
  } catch (problem) {
    if (mine === newest) notice(problem.message);
    return;
  }
  if (mine !== newest) return;
  if (!page.querySelector("#results")) {
    notice("The lake is being read …");
    setTimeout(() => mine === newest && load(address, { push, focus }), 500);
    return;
  }
  notice("");
  if (push) history.pushState(null, "", address);
  shown.clear();
  const results = find("#results");
  const fresh = page.querySelector("#results");
  results.replaceChildren(...fresh.childNodes);
  Object.assign(results.dataset, fresh.dataset);
  takeForm(page.querySelector("#filters"), !push);
  settleTiles({ focus });
  announce(`${Number(results.dataset.n).toLocaleString("en")} images`);
}

// Takes over numbers, and with `all` the values too; what is being typed stays.
function takeForm(fresh, all) {
  const form = find("#filters");
  if (all) {
    form.replaceChildren(...fresh.childNodes);
    return;
  }
  for (const place of form.querySelectorAll("[data-count]")) {
    const other = fresh.querySelector(`[data-count="${CSS.escape(place.dataset.count)}"]`);
    place.textContent = other ? other.textContent : "0";
  }
}

// Brings the numbers beside the filters up to date; the images stay until they are left.
async function countAgain() {
  const mine = newest;
  try {
    const text = await (await get(location.pathname + location.search)).text();
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("#filters");
    if (mine === newest && fresh) takeForm(fresh, false);
  } catch {
    // The numbers stay as they are; answers are reported on their own.
  }
}

function addressOfForm() {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(find("#filters"))) {
    if (String(value).trim()) query.append(name, value);
  }
  return `/grid?${query}`;
}

let typing = 0;
function watchForm(form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    load(addressOfForm());
  });
  form.addEventListener("input", (event) => {
    const isText = event.target.matches("input:not([type=checkbox])");
    clearTimeout(typing);
    typing = setTimeout(() => form.checkValidity() && load(addressOfForm()), isText ? 300 : 0);
  });
}

// --- labels

function label(button) {
  const ids = selected.size ? [...selected] : [focused()?.dataset.id].filter(Boolean);
  if (!ids.length) {
    notice("Select images first: click them, or press Space on them.");
    return;
  }
  const { label: word, title } = button.dataset;
  const words = find("#about").offsetParent === null ? ["score"] : ["score", "reasons"];
  give(ids, { label: word, title, reason: find("#reason").value, note: find("#note").value.trim(), shown: words, run: find("#results").dataset.run });
  find("#note").value = "";
  find("#reason").value = "";
  selectNone();
}

async function selectMatching() {
  const results = find("#results");
  try {
    const { image_ids: ids, n_matching: n } = await (await get(results.dataset.ids)).json();
    selectIds(ids);
    const all = n.toLocaleString("en");
    announce(ids.length < n ? `The first ${ids.length.toLocaleString("en")} of ${all} selected` : `All ${all} selected`);
    if (ids.length < n) notice(`The first ${ids.length.toLocaleString("en")} of ${all} images are selected; a selection has up to ${Number(results.dataset.max).toLocaleString("en")}.`);
  } catch (problem) {
    notice(problem.message);
  }
}

function follow(id) {
  const link = document.getElementById(id);
  if (!link) return announce(id === "next" ? "This is the last page" : "This is the first page");
  load(link.getAttribute("href"), { focus: true });
}

// --- wiring

const results = find("#results");
watchTiles(results);
watchForm(find("#filters"));
onChange(about);
startAnswers(results.dataset.lake, (isRecorded) => {
  if (isRecorded) countAgain();
  find("#undo").disabled = !canUndo() || nWaiting() > 0;
  find("#saved").classList.toggle("waiting", nWaiting() > 0);
  find("#saved").textContent = nWaiting() ? `saving ${nWaiting().toLocaleString("en")} …` : "all saved";
});
results.addEventListener("click", (event) => {
  const link = event.target.closest(".pages a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  load(link.getAttribute("href"));
});
results.addEventListener("dblclick", showOne);
addEventListener("popstate", () => load(location.pathname + location.search, { push: false }));

const group = "Grid";
for (const button of document.querySelectorAll(".give")) {
  button.addEventListener("click", () => label(button));
  bind({ keys: button.dataset.keys.split(" "), group, label: `${button.dataset.title}: the selected images, else the one with the focus`, run: () => label(button) });
}
const press = (selector, run) => find(selector).addEventListener("click", run);
press("#undo", undo);
press("#show-one", showOne);
press("#show-all", showAll);
press("#select-all", selectMatching);
press("#toggle-about", () => find("#about").classList.toggle("is-open"));
bind({ keys: ["z"], group, label: "Undo the last labels, all of them", run: () => !find("#undo").disabled && undo() });
bind({ keys: ["v"], group, label: "Show or hide the image with the focus", run: showOne });
bind({ keys: ["h"], group, label: "Show or hide all images of the page", run: showAll });
bind({ keys: ["i"], group, label: "Facts about the image, on small screens", run: () => find("#toggle-about").click() });
bind({ keys: ["m"], group, label: "Select all matching images", run: selectMatching });
bind({ keys: ["Escape"], group, label: "Select none", run: selectNone });
bind({ keys: ["]"], group, label: "Next page", run: () => follow("next") });
bind({ keys: ["["], group, label: "Previous page", run: () => follow("previous") });
bind({ keys: ["/"], group, label: "Search by name", run: () => openFilters("#text") });
bind({ keys: ["e"], group, label: "Reason for the next label", run: () => find("#reason").focus() });
bind({ keys: ["n"], group, label: "Note for the next label", run: () => find("#note").focus() });
bind({ keys: ["t"], group, label: "Go to the images", run: () => focused()?.focus() });
// These keys act on the images themselves; see grid_tiles.js.
for (const [keys, text] of [
  [["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], "Move between images; with Shift, select on the way"],
  [["Home", "End"], "First, last image of the page"],
  [[" "], "Select or deselect; with Shift, all from the last one"],
  [["Ctrl a"], "Select all images of the page"],
]) {
  const run = () => {
    focused()?.focus();
    return false;
  };
  bind({ keys, group: "Images", label: text, run });
}

function openFilters(selector) {
  find(".filters").open = true;
  find(selector).focus();
}

if (matchMedia("(max-width: 760px)").matches) find(".filters").open = false;
about();
