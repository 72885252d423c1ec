import { element } from "../../pages/script/elements.js";
import { countText } from "../../pages/script/names.js";
import { recount, wilson, FLAG } from "../../pages/script/recount.js";

// The threshold sliders: decisions and precision recounted from exact counts per step.

/** Return the two thresholds in order: the one that was moved pushes the other. */
export function ordered(review, flag, moved) {
  if (review <= flag) return [review, flag];
  return moved === "review" ? [review, review] : [flag, flag];
}

/** Return the lines about labelled images: [name, successes, trials], in words for the page. */
export function labelledShares(byLabel, labels) {
  const of = (label) => byLabel[labels.indexOf(label)];
  const sum = (counts) => counts.reduce((a, b) => a + b, 0);
  const [real, fake, laundered] = [of("real"), of("fake"), of("laundered")];
  const flagged = real[FLAG] + fake[FLAG] + laundered[FLAG];
  return [
    ["precision: flagged images with a label that are fake", fake[FLAG], flagged],
    ["found: images labelled fake that are flagged", fake[FLAG], sum(fake)],
    ["false positives: images labelled real that are flagged", real[FLAG], sum(real)],
    ["images labelled laundered that are flagged", laundered[FLAG], sum(laundered)],
  ].filter(([, , n], index) => n > 0 || index === 0);
}

/** Return a share with its 95 % interval as text. */
export function shareText(k, n) {
  if (n === 0) return "no flagged image has a label";
  const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)}`;
  const [low, high] = wilson(k, n);
  return `${percent(k / n)} % (95 % CI ${percent(low)} to ${percent(high)} %; ${countText(k)} of ${countText(n)})`;
}

/** Return a policy file with its two open thresholds; whole lines, since a name may say the same. */
export function withThresholds(text, review, flag) {
  const lines = { "review_at = REVIEW_AT": `review_at = ${decimal(review)}`, "flag_at = FLAG_AT": `flag_at = ${decimal(flag)}` };
  return text.split("\n").map((line) => lines[line] ?? line).join("\n");
}

function decimal(value) {
  return Number.isInteger(value) ? value.toFixed(1) : value;
}

/** Return a threshold for reading: calibrated ones have all digits of a double. */
export function shown(value) {
  return String(Number(value.toPrecision(6)));
}

/** Start the sliders on the counts in `cells`. */
export function startSlider(page, cells) {
  const at = (id) => document.getElementById(id);
  const box = at("recount");
  if (!box || !page.groups.length) return;
  const [review, flag, domain] = [at("review-at"), at("flag-at"), at("slider-domain")];
  const step = (edge) => page.steps.indexOf(edge);
  const ofRun = (group) => page.groups[group].slice(2, 4);
  let moved = false;

  domain.append(element("option", { value: "" }, "all"));
  page.groups.forEach(([name, n], index) => {
    domain.append(element("option", { value: index }, `${name} (${countText(n)})`));
  });
  domain.parentElement.hidden = page.groups.length < 2;
  for (const slider of [review, flag]) slider.max = page.steps.length - 1;

  const only = () => (domain.value === "" ? null : Number(domain.value));
  const reset = () => {
    moved = false;
    const group = only();
    [review.value, flag.value] = group === null ? page.band.map(step) : ofRun(group);
    draw();
  };
  const change = (name) => {
    moved = true;
    [review.value, flag.value] = ordered(Number(review.value), Number(flag.value), name);
    draw();
  };

  function draw() {
    const chosen = [Number(review.value), Number(flag.value)];
    const before = recount(cells, () => null, page.labels.length, only());
    // Domains with thresholds of their own keep them, as they would under the policy below.
    const band = (group) => (only() === null && page.groups[group][4] ? null : chosen);
    const after = moved ? recount(cells, band, page.labels.length, only()) : before;
    const [low, high] = chosen.map((k) => page.steps[k]);
    for (const [slider, output, value] of [
      [review, at("review-value"), low],
      [flag, at("flag-value"), high],
    ]) {
      output.textContent = shown(value);
      slider.setAttribute("aria-valuetext", shown(value));
    }
    at("recount-rows").replaceChildren(
      ...page.decisions.map((name, i) => row(name, before.all[i], after.all[i], page.signs[name]))
    );
    const said = page.decisions.map((name, i) => `${name} ${countText(after.all[i])}`).join(", ");
    at("recount-said").textContent = moved ? said : "";
    at("recount-labels").replaceChildren(...shares(after.byLabel));
    at("slider-reset").disabled = !moved;
    const lines = only() === null ? page.policy : page.groups[only()][5];
    at("policy-how").hidden = at("policy-lines").hidden = !moved || !lines;
    at("policy-lines").textContent = withThresholds(lines ?? "", low, high);
    for (const drawing of document.querySelectorAll("svg.hist")) moveLines(drawing, low, high);
  }

  function shares(byLabel) {
    const labelled = byLabel.slice(0, -1).flat().reduce((a, b) => a + b, 0);
    if (!labelled) return [element("p", { class: "soft small" }, "No image has a label, so that precision is not known.")];
    const rows = labelledShares(byLabel, page.labels).map(([name, k, n]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, shareText(k, n)))
    );
    const note = "Shares of the images with a label. They hold for others only as far as those were drawn at random.";
    return [
      element("table", { class: "fit shares" }, element("tbody", {}, ...rows)),
      element("p", { class: "soft small" }, note),
    ];
  }

  function moveLines(drawing, low, high) {
    const width = drawing.viewBox.baseVal.width;
    const x = (value) => page.plot_left + value * (width - 2 * page.plot_left);
    for (const [name, value] of [["review", low], ["flag", high]]) {
      const line = drawing.querySelector(`.at-${name}`);
      const text = drawing.querySelector(`.name-${name}`);
      if (!line || !text) return;
      const isLeft = x(value) > width - 110;
      line.setAttribute("x1", x(value));
      line.setAttribute("x2", x(value));
      text.setAttribute("x", x(value) + (isLeft ? -5 : 5));
      text.setAttribute("text-anchor", isLeft ? "end" : "start");
      text.textContent = `${name} from ${shown(value)}`;
    }
    for (const [name, from, to] of [["clear", 0, low], ["review", low, high], ["flag", high, 1]]) {
      const zone = drawing.querySelector(`.zone-${name}`);
      zone.setAttribute("x", x(from));
      zone.setAttribute("width", Math.max(0, x(to) - x(from)));
    }
  }

  review.addEventListener("input", () => change("review"));
  flag.addEventListener("input", () => change("flag"));
  domain.addEventListener("change", reset);
  at("slider-reset").addEventListener("click", reset);
  reset();
  box.hidden = false;
}

function row(name, before, after, sign) {
  const change = after - before;
  const cell = (text, kind = "n") => element("td", { class: kind }, text);
  const decision = element("th", { scope: "row", class: name },
    element("span", { class: "sign", "aria-hidden": "true" }, sign), name);
  const text = change === 0 ? "–" : `${change > 0 ? "+" : "−"}${countText(Math.abs(change))}`;
  return element("tr", {}, decision, cell(countText(before)), cell(countText(after)), cell(text));
}
