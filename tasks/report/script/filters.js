import { element } from "../../pages/script/elements.js";
import { EVERYTHING, ORDERS } from "./rows.js";

// The controls above the grid.

const PAUSE_MS = 120;

/** Fill the controls, and call `changed(filters, order)` at once and at each change. */
export function startFilters(vocabulary, signs, rows, changed) {
  const at = (id) => document.getElementById(id);
  const present = (column) => new Set(column);
  const [decisions, labels] = [present(rows.decision), present(rows.label)];
  const checks = [...vocabulary.decisions, "none"].map((name, index) => {
    const box = element("input", { type: "checkbox", checked: true, value: index });
    const sign = signs[name] && element("span", { class: "sign", "aria-hidden": "true" }, signs[name]);
    const label = element("label", { class: `check ${name}` }, box, sign, name);
    if (decisions.has(index)) at("filter-decision").append(label);
    return box;
  });
  const fill = (id, names) => {
    at(id).append(element("option", { value: -1 }, "any"));
    names.forEach(([name, index]) => at(id).append(element("option", { value: index }, name)));
    at(id).parentElement.hidden = names.length === 0;
  };
  fill("filter-reason", vocabulary.reasons.map(([, text], index) => [text, index]));
  fill("filter-domain", vocabulary.domains.length < 2 ? [] : vocabulary.domains.map((name, i) => [name, i]));
  fill("filter-label", vocabulary.labels.map((name, i) => [name, i]).filter(([, i]) => labels.has(i)));
  for (const [name, [text]] of Object.entries(ORDERS)) at("sort").append(element("option", { value: name }, text));

  const bound = (id) => (at(id).value === "" ? null : Number(at(id).value));
  const read = () => ({
    decisions: checks.every((box) => box.checked)
      ? null
      : new Set(checks.filter((box) => box.checked).map((box) => Number(box.value))),
    reason: Number(at("filter-reason").value),
    domain: Number(at("filter-domain").value),
    label: Number(at("filter-label").value),
    low: bound("filter-low"),
    high: bound("filter-high"),
    text: at("filter-text").value,
    withThumbnail: at("filter-thumb").checked,
    againstLabel: at("filter-wrong").checked,
  });
  const tell = () => changed(read(), at("sort").value);
  let timer = 0;
  const box = document.querySelector('#grid [role="search"]');
  box.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE_MS);
  });
  at("filter-reset").addEventListener("click", () => {
    checks.forEach((check) => (check.checked = true));
    for (const id of ["filter-reason", "filter-domain", "filter-label"]) at(id).value = -1;
    for (const id of ["filter-low", "filter-high", "filter-text"]) at(id).value = "";
    at("filter-thumb").checked = at("filter-wrong").checked = false;
    changed(EVERYTHING, at("sort").value);
  });
  at("sort").value = "highest";
  changed(EVERYTHING, "highest");
}
