// The run view: the report's sliders, the policy with their thresholds, and the keys.

import { announce } from "./api.js";
import { bind } from "./keys.js";
import { copy, json } from "./pages/script/elements.js";
import { startSlider } from "./report/script/slider.js";

const page = json("page-data");
const at = (id) => document.getElementById(id);

// What the sliders do not draw themselves.
function draw() {
  at("policy").hidden = at("policy-lines").hidden;
  at("policy-command").textContent = page.command;
  const domain = page.domains[at("slider-domain").value];
  const only = domain ? `&domain=${encodeURIComponent(domain)}` : "";
  const flag = page.steps[Number(at("flag-at").value)];
  at("see-flagged").href = `${page.grid}&score_from=${flag}&sort=lowest${only}`;
}

async function copied(id, name) {
  if (at("policy").hidden) return announce("Move a threshold first");
  announce((await copy(at(id).textContent)) ? `${name} copied` : `${name} not copied; select it`);
}

function nudge(id, by) {
  const slider = at(id);
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

if (at("recount") && page.groups.length) {
  startSlider(page, page.cells);
  for (const name of ["input", "change", "click"]) at("recount").addEventListener(name, draw);
  draw();
  at("copy-policy").addEventListener("click", () => copied("policy-lines", "Policy"));
  at("copy-command").addEventListener("click", () => copied("policy-command", "Command"));
  const group = "Thresholds";
  bind({ keys: ["["], group, label: "Review threshold one step down", run: () => nudge("review-at", -1) });
  bind({ keys: ["]"], group, label: "Review threshold one step up", run: () => nudge("review-at", 1) });
  bind({ keys: ["{"], group, label: "Flag threshold one step down", run: () => nudge("flag-at", -1) });
  bind({ keys: ["}"], group, label: "Flag threshold one step up", run: () => nudge("flag-at", 1) });
  bind({ keys: ["x"], group, label: "Thresholds of the run again", run: () => at("slider-reset").click() });
  bind({ keys: ["c"], group, label: "Copy the policy", run: () => at("copy-policy").click() });
  bind({ keys: ["d"], group, label: "Copy the command that decides anew", run: () => at("copy-command").click() });
}
