// One image on the stage: its veil, zoom, map and details.

import { Problem, announce, get } from "./api.js";

const STEP = 1.5;
const MOST = 12;

const press = (id, isOn) => document.getElementById(id).setAttribute("aria-pressed", String(isOn));

// What the reviewer wants to see of every image; the image itself is asked for each time.
const wanted = { verdict: false, map: false, about: false, copies: false };

export class Viewer {
  #item = null;
  #scale = 1;

  constructor(stage, details) {
    this.stage = stage;
    this.details = details;
  }

  get item() {
    return this.#item;
  }

  show(item) {
    this.#item = item;
    this.#scale = 1;
    this.stage.replaceChildren(item.figure);
    this.details.replaceChildren(item.facts);
    this.#veil(true);
    this.#zoom(1);
    item.seenMs = performance.now();
    for (const name of Object.keys(wanted)) this.#apply(name);
  }

  clear(message) {
    this.#item = null;
    const line = document.createElement("p");
    line.className = "state soft";
    line.textContent = message;
    this.stage.replaceChildren(line);
    this.details.replaceChildren();
  }

  toggleVeil() {
    if (!this.#item) return;
    const isVeiled = !this.#item.figure.classList.contains("veiled");
    this.#veil(isVeiled);
    announce(isVeiled ? "Image hidden" : "Image shown");
  }

  toggle(name) {
    wanted[name] = !wanted[name];
    this.#apply(name);
  }

  zoomBy(steps) {
    this.#zoom(steps === 0 ? 1 : this.#scale * STEP ** steps);
  }

  // Moves a zoomed image; returns false if there is nothing to move.
  pan(x, y) {
    if (!this.#item || this.#scale === 1) return false;
    const { clientWidth, clientHeight } = this.#item.figure;
    this.#item.figure.scrollBy(0.25 * x * clientWidth, 0.25 * y * clientHeight);
    return true;
  }

  #veil(isVeiled) {
    const { figure, image } = this.#item;
    figure.classList.toggle("veiled", isVeiled);
    image.alt = isVeiled ? "Image to judge, hidden" : "Image to judge, shown";
    press("toggle-shown", !isVeiled);
  }

  #zoom(scale) {
    if (!this.#item || this.#item.isBroken) return;
    const { figure, image } = this.#item;
    this.#scale = Math.min(MOST, Math.max(1, scale));
    const canvas = figure.querySelector(".canvas");
    const middle = [
      (figure.scrollLeft + figure.clientWidth / 2) / (figure.scrollWidth || 1),
      (figure.scrollTop + figure.clientHeight / 2) / (figure.scrollHeight || 1),
    ];
    canvas.style.width = canvas.style.height = `${100 * this.#scale}%`;
    figure.scrollTo(
      middle[0] * figure.scrollWidth - figure.clientWidth / 2,
      middle[1] * figure.scrollHeight - figure.clientHeight / 2,
    );
    figure.tabIndex = this.#scale > 1 ? 0 : -1;
    if (this.#scale > 1 && image.dataset.zoom) {
      const larger = new Image();
      larger.src = image.dataset.zoom;
      delete image.dataset.zoom;
      larger.decode().then(
        () => (image.src = larger.src),
        () => {},
      );
    }
  }

  #apply(name) {
    press(`toggle-${name}`, wanted[name]);
    const item = this.#item;
    if (!item) return;
    const section = item.facts.querySelector(`.${name}`);
    section.hidden = !wanted[name];
    if (name === "map") this.#map(item, wanted.map, section);
    if (!wanted[name]) return;
    if (name === "verdict") item.shown.add("score").add("reasons");
    if (section.dataset.src) this.#fill(item, name, section);
  }

  // Fills a section with what the server says of the image, once.
  async #fill(item, name, section) {
    const src = section.dataset.src;
    delete section.dataset.src;
    const content = document.createElement("div");
    content.textContent = "Loading …";
    section.append(content);
    try {
      const parsed = document.createElement("template");
      parsed.innerHTML = await (await get(src)).text();
      content.replaceChildren(document.importNode(parsed.content, true));
      if (name === "copies") item.shown.add("neighbours");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      content.remove();
      section.dataset.src = src;
      announce(problem.message);
    }
  }

  async #map(item, isOn, section) {
    let layer = item.figure.querySelector(".overlay");
    if (layer) layer.hidden = !isOn;
    if (layer || !isOn || item.isBroken) return;
    layer = new Image();
    layer.className = "overlay";
    layer.alt = "";
    layer.src = item.mapSrc;
    item.figure.querySelector(".canvas").append(layer);
    const line = section.querySelector("p");
    try {
      await layer.decode();
      item.shown.add("map");
    } catch {
      layer.remove();
      try {
        await get(item.mapSrc);
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        line.textContent = `There is no map: ${problem.message}.`;
      }
    }
  }
}
