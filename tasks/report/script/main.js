import { json } from "../../pages/script/elements.js";
import { canUnpack, unpack } from "../../pages/script/columns.js";
import { thumbnailsOf } from "./card.js";
import { startGrid } from "./grid.js";
import { startSlider } from "./slider.js";

// What the page gains by its script. Without it, everything else is there.

async function start() {
  const at = (id) => document.getElementById(id);
  const text = (id) => at(id).textContent;
  if (!canUnpack()) {
    if (at("old-browser")) at("old-browser").hidden = false;
    return;
  }
  const page = json("page-data");
  startSlider(page, await unpack(page.cells, text("cell-data")));
  const [grid, galleries] = [at("grid"), at("galleries")];
  if (!grid || page.grid.rows === 0) return;
  startGrid(page, await unpack(page.grid.columns, text("grid-data")), thumbnailsOf(galleries));
  grid.hidden = false;
  document.documentElement.classList.add("has-grid");
}

start();
