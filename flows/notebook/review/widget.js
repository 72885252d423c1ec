// The page of the review widget. It draws and sends; the kernel decides what is saved.
//
// Answers go through an outbox: first in, first out, one message under way, sent again until a
// reply names them. What is not saved yet is kept in the browser's storage, so that it outlives a
// reload of the page and a restart of the kernel.

const LABELS = { r: "real", f: "fake", l: "laundered", u: "unsure" };
const AHEAD = 3;
const PER_PAGE = 12;
const RETRY_MS = 4000;
const RETRY_MOST_MS = 60000;
const KEYS = [
  ["r f l u", "answer: real, fake, laundered, unsure"],
  ["z", "take the last answer back"],
  ["b", "show or hide the image; B for all that follow"],
  ["s", "show or hide score and reasons"],
  ["← →", "image before, image after"],
  ["g", "grid, or one image; Enter opens the image of the grid"],
  ["Space, a", "in the grid: select the image, or all"],
  ["n", "note and reason for the next answer; Esc returns to the image"],
  ["?", "this help"],
];

function node(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = value;
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function picture(address, alt, kind) {
  // Only images that the kernel has encoded itself.
  if (!/^data:image\/webp;base64,[A-Za-z0-9+/=]+$/.test(address ?? "")) return null;
  return node("img", { src: address, alt, class: kind, draggable: "false" });
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

class Outbox {
  constructor(model, prefix, changed) {
    this.model = model;
    this.prefix = prefix;
    this.changed = changed;
    this.entries = [];
    this.number = null;
    this.wait = RETRY_MS;
    this.problem = null;
    this.timer = null;
    this.restore();
  }

  restore() {
    try {
      const found = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
      const kept = found.map((key) => JSON.parse(localStorage.getItem(key)));
      this.entries = kept.sort((a, b) => a.at - b.at).map((one) => one.entry);
    } catch {
      this.entries = []; // no storage here: answers are kept in the page alone
    }
  }

  push(entry) {
    try {
      const kept = JSON.stringify({ at: Date.now() + performance.now() % 1, entry });
      localStorage.setItem(this.prefix + entry.answer_id, kept);
    } catch {
      // as above
    }
    this.entries.push(entry);
    this.flush();
  }

  flush() {
    if (this.number !== null || !this.entries.length) return;
    this.number = newId();
    this.timer = setTimeout(() => this.late("the kernel does not answer"), this.wait);
    try {
      this.model.send({ type: "answers", number: this.number, answers: this.entries.slice(0, 50) });
    } catch {
      this.late("the kernel cannot be reached");
    }
    this.changed();
  }

  late(problem) {
    clearTimeout(this.timer);
    this.problem = problem;
    this.number = null;
    this.wait = Math.min(this.wait * 2, RETRY_MOST_MS);
    this.timer = setTimeout(() => this.flush(), this.wait / 2);
    this.changed();
  }

  // Return what was refused, by answer id.
  received(reply) {
    const done = new Set([...reply.ids, ...Object.keys(reply.refused)]);
    for (const id of done) {
      try {
        localStorage.removeItem(this.prefix + id);
      } catch {
        // as above
      }
    }
    this.entries = this.entries.filter((entry) => !done.has(entry.answer_id));
    if (reply.waiting) {
      this.late(reply.waiting);
    } else if (reply.number === this.number || !this.entries.length) {
      clearTimeout(this.timer);
      this.number = null;
      this.problem = null;
      this.wait = RETRY_MS;
      this.flush();
    }
    return reply.refused;
  }

  close() {
    clearTimeout(this.timer);
  }
}

class Review {
  constructor(model, el) {
    this.model = model;
    this.place = model.get("_start");
    this.items = new Map(); // by place: facts, label, and images by size
    this.requested = new Map(); // by size and place: time of the request
    this.undo = [...(model.get("_state").undo ?? [])];
    this.isGrid = false;
    this.isHelp = false;
    this.areShown = false; // all images, without a key for each
    this.open = new Set(); // places of images that were asked for
    this.areFacts = false;
    this.sawFacts = new Set();
    this.selected = new Set();
    this.shownAt = new Map();
    this.message = "";
    this.root = node("div", {
      class: "assay-review",
      tabindex: "0",
      role: "group",
      "aria-label": "Review of images; press question mark for the keys",
      // Keys of JupyterLab's own, such as b for a new cell, stay out of the widget.
      "data-lm-suppress-shortcuts": "true",
      onkeydown: (event) => this.pressed(event),
    });
    this.head = node("div", { class: "head" });
    this.stage = node("div", { class: "stage" });
    this.facts = node("p", { class: "facts" });
    this.status = node("p", { class: "status", role: "status" });
    this.note = node("input", { type: "text", maxlength: "5000", placeholder: "note", "aria-label": "Note" });
    this.reason = node(
      "select",
      { "aria-label": "Reason" },
      node("option", { value: "", text: "no reason" }),
      ...model.get("_reasons").map(([value, text]) => node("option", { value, text })),
    );
    this.help = node("dl", { class: "help" });
    for (const [keys, text] of KEYS) this.help.append(node("dt", { text: keys }), node("dd", { text }));
    this.root.append(
      this.head, this.stage, this.facts, this.buttons(),
      node("p", { class: "extra" }, this.reason, this.note), this.status, this.help,
    );
    el.append(this.root);
    const prefix = `assay-review:${model.get("_lake")}:${model.get("_reviewer")}:`;
    this.outbox = new Outbox(model, prefix, () => this.draw());
    for (const { answer_id, image_id, withdraws } of this.outbox.entries) {
      const taken = withdraws ?? answer_id;
      this.undo = this.undo.filter((entry) => entry.answer_id !== taken);
      if (!withdraws) this.undo.push({ answer_id, image_id });
    }
    this.onMessage = (content) => this.received(content);
    this.onState = () => this.draw();
    model.on("msg:custom", this.onMessage);
    model.on("change:_state", this.onState);
    this.ticking = setInterval(() => this.fetch(), 2000); // requests that were lost
    this.outbox.flush();
    this.draw();
  }

  close() {
    clearInterval(this.ticking);
    this.outbox.close();
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:_state", this.onState);
  }

  buttons() {
    const button = (text, key, act) =>
      node("button", { type: "button", "aria-keyshortcuts": key, onclick: () => { act(); this.root.focus({ preventScroll: true }); } },
        `${text} `, node("kbd", { text: key }));
    return node(
      "div", { class: "buttons" },
      ...Object.entries(LABELS).map(([key, label]) => button(label, key, () => this.answer(label))),
      button("undo", "z", () => this.takeBack()),
      button("show", "b", () => this.toggle()),
      button("score", "s", () => this.toggleFacts()),
      button("grid", "g", () => this.toggleGrid()),
      button("keys", "?", () => this.toggleHelp()),
    );
  }

  get end() {
    return this.model.get("_state").end;
  }

  // Requests.

  want(start, n, size) {
    const now = performance.now();
    const missing = [];
    for (let place = start; place < start + n; place++) {
      const isKnown = this.items.get(place)?.[size] || (this.end !== null && place >= this.end);
      const asked = this.requested.get(size + place);
      if (!isKnown && (asked === undefined || now - asked > RETRY_MS)) missing.push(place);
    }
    if (!missing.length) return;
    const [first, last] = [missing[0], missing.at(-1)];
    for (let place = first; place <= last; place++) this.requested.set(size + place, now);
    try {
      this.model.send({ type: "look", start: first, n: last - first + 1, size });
    } catch {
      this.message = "The kernel cannot be reached; run the cell again.";
    }
  }

  fetch() {
    if (this.isGrid) {
      this.want(this.first, PER_PAGE, "small");
      return;
    }
    // The image of now first, in a message of its own.
    this.want(this.place, 1, "large");
    this.want(this.place + 1, AHEAD, "large");
    for (const [place, item] of this.items) if (Math.abs(place - this.place) > 20) delete item.large;
  }

  received(content) {
    if (content.type === "items") {
      for (const item of content.items) {
        const { sharp, veil, ...facts } = item;
        const before = this.items.get(item.place) ?? {};
        const isWaiting = this.outbox.entries.some((entry) => entry.image_id === item.image_id);
        if (isWaiting) facts.label = before.label ?? null;
        this.items.set(item.place, { ...before, ...facts, [content.size]: { sharp, veil } });
        this.requested.delete(content.size + item.place);
      }
    } else if (content.type === "saved") {
      const refused = this.outbox.received(content);
      const waiting = new Set(this.outbox.entries.map((entry) => entry.image_id));
      for (const [id, message] of Object.entries(refused)) {
        this.message = `An answer was refused: ${message}`;
        this.undo = this.undo.filter((entry) => entry.answer_id !== id);
      }
      for (const item of this.items.values()) {
        if (waiting.has(item.image_id)) continue;
        if (item.image_id in content.saved) item.label = content.saved[item.image_id];
        else if (item.pending in refused) item.label = item.before;
      }
    } else if (content.type === "failed") {
      this.message = content.message;
    }
    this.draw();
  }

  // Answers.

  answer(label) {
    const places = this.isGrid && this.selected.size ? [...this.selected].sort((a, b) => a - b) : [this.place];
    // Nobody can have judged an image that has not come yet.
    const known = places.filter((place) => this.items.get(place)?.[this.isGrid ? "small" : "large"]);
    if (!known.length) {
      this.message = this.place === this.end ? "" : "The image is still loading; answer when it is there.";
      this.draw();
      return;
    }
    this.message = "";
    for (const place of known) {
      const item = this.items.get(place);
      const entry = { answer_id: newId(), image_id: item.image_id, label };
      const began = this.shownAt.get(place);
      if (began !== undefined) entry.seconds = (performance.now() - began) / 1000 / known.length;
      entry.shown = this.sawFacts.has(place) ? ["score", "reasons"] : [];
      if (this.note.value.trim()) entry.note = this.note.value;
      if (this.reason.value) entry.reason = this.reason.value;
      item.before = item.label ?? null;
      item.label = label;
      item.pending = entry.answer_id;
      this.undo.push({ image_id: item.image_id, answer_id: entry.answer_id, place });
      this.outbox.push(entry);
    }
    this.note.value = "";
    this.reason.value = "";
    this.selected.clear();
    this.goTo(this.nextOpen(known.at(-1)));
  }

  nextOpen(after) {
    for (let place = after + 1; this.end === null || place < this.end; place++) {
      if (!this.items.get(place)?.label) return place;
    }
    for (const [place, item] of [...this.items].sort((a, b) => a[0] - b[0])) if (!item.label) return place;
    return this.end;
  }

  takeBack() {
    const last = this.undo.pop();
    if (last === undefined) {
      this.message = "There is no answer to take back.";
      this.draw();
      return;
    }
    const place = last.place ?? [...this.items].find(([, item]) => item.image_id === last.image_id)?.[0];
    const entry = { answer_id: newId(), image_id: last.image_id, withdraws: last.answer_id };
    const item = this.items.get(place);
    if (item) {
      item.pending = entry.answer_id;
      item.label = item.before ?? null;
    }
    this.message = "Taken back; answer again.";
    this.outbox.push(entry);
    if (place !== undefined) this.goTo(place);
  }

  // Places.

  get first() {
    return Math.floor(this.place / PER_PAGE) * PER_PAGE;
  }

  goTo(place) {
    const most = this.end ?? Infinity;
    this.place = Math.max(0, Math.min(place, most));
    this.draw();
  }

  columns() {
    const cells = [...this.stage.querySelectorAll(".cell")];
    const n = cells.findIndex((cell) => cell.offsetTop > cells[0].offsetTop);
    return n > 0 ? n : cells.length || 1;
  }

  toggle() {
    const places = this.isGrid && this.selected.size ? [...this.selected] : [this.place];
    const areOpen = places.every((place) => this.isOpen(place));
    if (areOpen) this.areShown = false;
    for (const place of places) areOpen ? this.open.delete(place) : this.open.add(place);
    this.draw();
  }

  isOpen(place) {
    return this.areShown || this.open.has(place);
  }

  toggleFacts() {
    this.areFacts = !this.areFacts;
    this.draw();
  }

  toggleGrid() {
    this.isGrid = !this.isGrid;
    this.selected.clear();
    this.draw();
  }

  toggleHelp() {
    this.isHelp = !this.isHelp;
    this.draw();
  }

  pressed(event) {
    event.stopPropagation();
    const isTyping = event.target === this.note || event.target === this.reason;
    if (isTyping) {
      if (event.key === "Escape" || event.key === "Enter") {
        event.preventDefault();
        this.root.focus();
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
    const step = this.isGrid ? { ArrowUp: -this.columns(), ArrowDown: this.columns() } : {};
    const acts = {
      z: () => this.takeBack(),
      b: () => this.toggle(),
      B: () => { this.areShown = !this.areShown; this.open.clear(); this.draw(); },
      s: () => this.toggleFacts(),
      g: () => this.toggleGrid(),
      n: () => this.note.focus(),
      "?": () => this.toggleHelp(),
      ArrowLeft: () => this.goTo(this.place - 1),
      ArrowRight: () => this.goTo(this.place + 1),
    };
    if (event.key in step) acts[event.key] = () => this.goTo(this.place + step[event.key]);
    if (this.isGrid) {
      acts.Enter = () => this.toggleGrid();
      acts[" "] = () => { this.select(this.place); this.draw(); };
      acts.a = () => this.selectAll();
    }
    const label = LABELS[event.key];
    const act = label ? () => this.answer(label) : acts[event.key];
    if (act === undefined) return;
    event.preventDefault();
    // A held key must not answer image after image.
    if (event.repeat && !event.key.startsWith("Arrow")) return;
    act();
  }

  select(place) {
    if (!this.selected.delete(place) && this.items.has(place)) this.selected.add(place);
  }

  selectAll() {
    const places = [...this.items.keys()].filter((place) => place >= this.first && place < this.first + PER_PAGE);
    const areAll = places.every((place) => this.selected.has(place));
    for (const place of places) areAll ? this.selected.delete(place) : this.selected.add(place);
    this.draw();
  }

  // Drawing.

  draw() {
    const state = this.model.get("_state");
    const left = state.left === null ? "" : ` · ${state.left} left`;
    this.head.replaceChildren(
      node("b", { text: `${state.answered} answered` }), `${left} · reviewer ${this.model.get("_reviewer")}`,
    );
    this.root.dataset.view = this.isGrid ? "grid" : "one";
    this.help.hidden = !this.isHelp;
    for (const [name, value] of [["role", "listbox"], ["aria-label", "Images"], ["aria-multiselectable", "true"]]) {
      if (this.isGrid) this.stage.setAttribute(name, value);
      else this.stage.removeAttribute(name);
    }
    this.stage.replaceChildren(...(this.isGrid ? this.cells() : [this.single()]));
    this.drawFacts();
    this.drawStatus();
    this.fetch();
  }

  image(place, item, size) {
    const number = place + 1;
    const image = item[size];
    if (!image) return node("span", { class: "wait", text: "loading" });
    if (!image.veil) return node("span", { class: "wait", text: "This image cannot be shown: its file cannot be read or decoded." });
    if (!this.shownAt.has(place)) this.shownAt.set(place, performance.now());
    if (this.isOpen(place)) return picture(image.sharp, `Image ${number}`, "sharp");
    return picture(image.veil, `Image ${number}, hidden`, "veil");
  }

  single() {
    if (this.end !== null && this.place >= this.end) {
      const elsewhere = this.model.get("_state").elsewhere;
      const rest = elsewhere ? ` ${elsewhere} are with other reviewers; run the cell again later.` : "";
      const text = this.end ? `That was the last image.${rest}` : `There is no image to review now.${rest}`;
      return node("div", { class: "frame done" }, node("span", { class: "wait", text }));
    }
    const item = this.items.get(this.place) ?? {};
    const frame = node("div", { class: "frame", onclick: () => this.toggle() }, this.image(this.place, item, "large"));
    if (item.label) frame.append(node("span", { class: "label", text: item.label }));
    if (item.large?.veil && !this.isOpen(this.place)) frame.append(node("span", { class: "hint", text: "hidden: b shows it" }));
    return frame;
  }

  cells() {
    const made = [];
    const until = Math.min(this.first + PER_PAGE, this.end ?? Infinity);
    for (let place = this.first; place < until; place++) {
      const item = this.items.get(place) ?? {};
      const cell = node(
        "div",
        {
          class: "cell",
          "aria-label": `Image ${place + 1}${item.label ? `, ${item.label}` : ""}`,
          "aria-current": place === this.place ? "true" : null,
          "aria-selected": this.selected.has(place) ? "true" : "false",
          role: "option",
          onclick: () => { this.place = place; this.select(place); this.draw(); },
          ondblclick: () => { this.place = place; this.toggleGrid(); },
        },
        this.image(place, item, "small"),
      );
      if (item.label) cell.append(node("span", { class: "label", text: item.label }));
      made.push(cell);
    }
    return made;
  }

  drawFacts() {
    const item = this.items.get(this.place);
    const parts = [];
    if (item) {
      parts.push(node("span", { text: `${this.place + 1}. ${item.name}` }));
      if (this.areFacts) {
        this.sawFacts.add(this.place);
        const reasons = item.reasons.length ? `: ${item.reasons.join("; ")}` : "";
        parts.push(node("span", { text: `score ${item.score}, ${item.decision ?? "undecided"}${reasons}` }));
      }
    }
    this.facts.replaceChildren(...parts);
  }

  drawStatus() {
    const n = this.outbox.entries.length;
    const answers = n === 1 ? "1 answer is" : `${n} answers are`;
    let [kind, text] = ["saved", this.model.get("_state").answered ? "All answers are saved." : ""];
    if (n && this.outbox.problem) {
      [kind, text] = ["late", `${answers} not saved yet: ${this.outbox.problem}. They are kept in this browser and sent again; after a restart of the kernel, run the cell again.`];
    } else if (n) {
      [kind, text] = ["saving", `${answers} being saved.`];
    }
    this.root.dataset.saved = kind;
    if (this.status.textContent !== `${text} ${this.message}`.trim()) {
      this.status.textContent = `${text} ${this.message}`.trim();
    }
  }
}

function render({ model, el }) {
  const review = new Review(model, el);
  return () => review.close();
}

export default { render };
