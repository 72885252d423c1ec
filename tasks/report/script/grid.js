import { copy, element } from "../../pages/script/elements.js";
import { countText } from "../../pages/script/names.js";
import { card } from "./card.js";
import { startFilters } from "./filters.js";
import { fitting, idOf, sorted } from "./rows.js";

// The grid: pages of cards, a selection, and keys.

const PER_PAGE = window.innerWidth < 760 ? 24 : 60;

/** Start the grid on unpacked rows. */
export function startGrid(page, rows, thumbnails) {
  const vocabulary = page.grid;
  const at = (id) => document.getElementById(id);
  const list = at("cards");
  const selected = new Uint8Array(rows.prob.length);
  let nSelected = 0;
  let found = [];
  let first = 0;
  let focused = 0; // position on the page

  const cards = () => [...list.children];
  const rowOf = (item) => Number(item.dataset.row);
  const chosen = () => found.length && nSelected ? allSelected() : [];
  const allSelected = () => {
    const some = [];
    selected.forEach((is, row) => is && some.push(row));
    return some;
  };

  function draw() {
    const parts = { vocabulary, signs: page.signs, thumbnails };
    list.replaceChildren(
      ...found.slice(first, first + PER_PAGE).map((row) => card(rows, row, { ...parts, isSelected: selected[row] === 1 }))
    );
    focused = Math.min(focused, Math.max(0, list.children.length - 1));
    list.children[focused]?.setAttribute("tabindex", 0);
    const last = Math.min(first + PER_PAGE, found.length);
    at("page-at").textContent = found.length ? `${countText(first + 1)} to ${countText(last)} of ${countText(found.length)}` : "";
    at("page-back").disabled = first === 0;
    at("page-on").disabled = last >= found.length;
    at("none-found").hidden = found.length > 0;
    say();
  }

  function say() {
    const images = found.length === 1 ? "1 image" : `${countText(found.length)} images`;
    at("grid-count").textContent = `${images}, ${countText(nSelected)} selected`;
    for (const id of ["select-none", "copy-ids", "copy-addresses"]) at(id).disabled = nSelected === 0;
  }

  function select(row, is) {
    if (selected[row] === Number(is)) return;
    selected[row] = Number(is);
    nSelected += is ? 1 : -1;
  }

  function toggle(item) {
    const row = rowOf(item);
    select(row, !selected[row]);
    item.querySelector("input").checked = selected[row] === 1;
    say();
  }

  function focusOn(position) {
    const items = cards();
    if (!items.length) return;
    items[focused]?.setAttribute("tabindex", -1);
    focused = Math.max(0, Math.min(position, items.length - 1));
    items[focused].setAttribute("tabindex", 0);
    items[focused].focus();
  }

  function turn(pages) {
    const next = first + pages * PER_PAGE;
    if (next < 0 || next >= found.length) return;
    first = next;
    focused = 0;
    draw();
    focusOn(0);
  }

  async function copied(button, text) {
    const name = button.textContent;
    button.textContent = (await copy(text)) ? "Copied" : "Copying failed";
    setTimeout(() => (button.textContent = name), 1500);
  }

  function inRow() {
    const items = cards();
    const top = items[0]?.offsetTop;
    const next = items.findIndex((item) => item.offsetTop !== top);
    return next < 0 ? items.length : next;
  }

  const showAll = (open) => list.querySelectorAll("details.pic").forEach((box) => (box.open = open));

  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const item = event.target.closest(".card");
    const here = cards().indexOf(item);
    const keys = {
      ArrowRight: () => focusOn(here + 1),
      ArrowLeft: () => focusOn(here - 1),
      ArrowDown: () => focusOn(here + inRow()),
      ArrowUp: () => focusOn(here - inRow()),
      Home: () => focusOn(0),
      End: () => focusOn(PER_PAGE),
      Enter: () => item.querySelector("details.pic summary")?.click(),
      " ": () => toggle(item),
      x: () => toggle(item),
      c: () => copy(idOf(rows, rowOf(item))),
      n: () => turn(1),
      p: () => turn(-1),
      h: () => showAll(false),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || !item) return;
    event.preventDefault();
    act();
  });
  list.addEventListener("focusin", (event) => {
    const here = cards().indexOf(event.target.closest(".card"));
    if (here < 0 || here === focused) return;
    list.children[focused]?.setAttribute("tabindex", -1);
    focused = here;
    list.children[focused].setAttribute("tabindex", 0);
  });
  list.addEventListener("change", (event) => {
    select(rowOf(event.target.closest(".card")), event.target.checked);
    say();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    if (event.key === "?") at("keys").open = !at("keys").open;
    if (event.key !== "/") return;
    event.preventDefault();
    at("filter-text").focus();
  });

  at("page-back").addEventListener("click", () => turn(-1));
  at("page-on").addEventListener("click", () => turn(1));
  at("select-all").addEventListener("click", () => {
    found.forEach((row) => select(row, true));
    draw();
  });
  at("select-none").addEventListener("click", () => {
    selected.fill(0);
    nSelected = 0;
    draw();
  });
  at("copy-ids").addEventListener("click", (event) =>
    copied(event.target, chosen().map((row) => idOf(rows, row)).join("\n")));
  at("copy-addresses").addEventListener("click", (event) =>
    copied(event.target, chosen().map((row) => rows.address[row]).join("\n")));
  at("show-page").addEventListener("click", () => {
    const boxes = [...list.querySelectorAll("details.pic")];
    showAll(!boxes.every((box) => box.open));
  });
  const setLayout = (isList) => {
    list.classList.toggle("list", isList);
    at("layout").setAttribute("aria-pressed", isList);
  };
  at("layout").addEventListener("click", () => setLayout(!list.classList.contains("list")));
  setLayout(thumbnails.size * 2 < rows.prob.length);

  startFilters(vocabulary, page.signs, rows, (filters, order) => {
    found = sorted(fitting(rows, filters, vocabulary, thumbnails), order, rows, vocabulary);
    first = 0;
    focused = 0;
    draw();
  });
}
