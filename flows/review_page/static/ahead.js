// Items of the queue that are fetched ahead, with their images decoded.

import { Problem, get, post } from "./api.js";

const AHEAD = 6;
const FEW = 4;
const ASK_AGAIN_MS = 1000;
const ASK_WHEN_EMPTY_MS = 15000;
const WAS_HERE = "assay-queue-was-here";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const isPassing = (problem) => problem.status === 0 || problem.status >= 500;

// One image of the queue. `isReady` when its image can be shown at once, or cannot be shown at all.
class Item {
  isReady = false;
  seenMs = null;
  shown = new Set();

  constructor(article) {
    this.figure = article.querySelector(".shot");
    this.image = article.querySelector("img.main");
    this.facts = article.querySelector(".facts");
    this.imageId = article.dataset.image;
    this.ticket = article.dataset.ticket;
    this.runId = article.dataset.run || null;
    this.mapSrc = article.dataset.map;
    this.loaded = this.#load();
  }

  async #load() {
    while (!this.isReady) {
      this.image.src = this.image.dataset.src;
      try {
        await this.image.decode();
        this.isReady = true;
        this.figure.classList.add("is-ready");
      } catch {
        await this.#ask();
      }
    }
  }

  // Finds out why there is no image: for good, or because the server is away for a moment.
  async #ask() {
    try {
      await (await get(this.image.dataset.src)).blob();
      await pause(ASK_AGAIN_MS);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (!isPassing(problem) || problem.status === 500) {
        this.#giveUp(problem.message);
      } else {
        await pause(ASK_AGAIN_MS);
      }
    }
    this.image.removeAttribute("src");
  }

  #giveUp(message) {
    this.isReady = true;
    this.isBroken = true;
    this.figure.classList.add("is-ready");
    this.image.hidden = true;
    this.figure.classList.add("without-image");
    const line = this.figure.querySelector(".broken");
    line.textContent = `This image cannot be shown: ${message}. It can be answered all the same.`;
    line.hidden = false;
  }
}

export class Ahead {
  #items = [];
  #known = new Set();
  #isFetching = false;
  // A page that is loaded again takes its images up again; another tab gets others, as long as
  // there are any.
  #isResuming = sessionStorage.getItem(WAS_HERE) === "yes";
  #options;
  #onItem;
  #onEmpty;

  // `options` are those of `/queue/items`; `onItem()` is called when an item is there,
  // `onEmpty(message)` when there is none.
  constructor(options, onItem, onEmpty) {
    this.#options = options;
    this.#onItem = onItem;
    this.#onEmpty = onEmpty;
  }

  get size() {
    return this.#items.length;
  }

  get imageIds() {
    return this.#items.map((item) => item.imageId);
  }

  // Returns the next item, or null; its image may still be loading.
  take() {
    const item = this.#items.shift() ?? null;
    if (this.#items.length <= FEW) this.fill();
    return item;
  }

  // Puts an item back in front of the others.
  putBack(item) {
    this.#items.unshift(item);
  }

  // Drops items whose leases were lost.
  keepOnly(imageIds) {
    const kept = new Set(imageIds);
    for (const item of this.#items) if (!kept.has(item.imageId)) this.#known.delete(item.imageId);
    this.#items = this.#items.filter((item) => kept.has(item.imageId));
  }

  // Lets an image come up again: it was skipped long ago, or its lease was lost.
  forget(imageId) {
    this.#known.delete(imageId);
  }

  async fill() {
    if (this.#isFetching || this.#items.length >= AHEAD) return;
    this.#isFetching = true;
    let waitMs = 0;
    try {
      const resume = this.#isResuming;
      const asked = { ...this.#options, n: AHEAD - this.#items.length, resume };
      const answer = await post(`/queue/items?${new URLSearchParams(asked)}`, {});
      sessionStorage.setItem(WAS_HERE, "yes");
      this.#isResuming = false;
      const parsed = document.createElement("template");
      parsed.innerHTML = await answer.text();
      const articles = document.importNode(parsed.content, true).querySelectorAll("article");
      const before = this.#items.length;
      for (const article of articles) {
        if (this.#known.has(article.dataset.image)) continue;
        this.#known.add(article.dataset.image);
        this.#items.push(new Item(article));
      }
      if (this.#items.length > before) {
        this.#onItem();
      } else if (articles.length) {
        // Answered here, and not yet on the server: the outbox is at it.
        waitMs = resume ? ASK_WHEN_EMPTY_MS : ASK_AGAIN_MS;
      } else {
        this.#onEmpty("No image is waiting for an answer.");
        this.#isResuming = !resume;
        waitMs = resume ? ASK_WHEN_EMPTY_MS : ASK_AGAIN_MS;
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#onEmpty(`The queue cannot be reached: ${problem.message}.`);
      waitMs = ASK_AGAIN_MS;
    } finally {
      this.#isFetching = false;
    }
    if (waitMs) setTimeout(() => this.fill(), waitMs);
    else if (this.#items.length <= FEW) setTimeout(() => this.fill(), 50);
  }
}
