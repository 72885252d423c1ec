// Answers on their way to the server.
//
// An answer is written to the browser's storage before anything else happens, and leaves it when
// the server has acknowledged it. It has an id of its own, so that sending it twice records it
// once. Server killed, network gone, tab closed: it is sent again, at the latest by the next page.

import { Problem, notice, post, reviewer, serverMs } from "./api.js";

const MOST_AT_ONCE = 50;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 4000;

// Returns 32 random hex digits; `crypto.randomUUID` exists on https and this machine only.
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
    byte.toString(16).padStart(2, "0"),
  ).join("");
}

export class Outbox {
  #prefix;
  #refusedKey;
  #waiting = new Map();
  #isSending = false;
  #waitMs = FIRST_WAIT_MS;
  #timer = 0;
  #onChange;
  #order = 0;
  isStored = true;

  // `lake` keeps the answers of several lakes apart; `onChange(outbox)` is called at each change.
  constructor(lake, onChange) {
    this.#prefix = `assay-answer ${lake} ${reviewer} `;
    this.#refusedKey = `assay-refused ${lake} ${reviewer}`;
    this.#onChange = onChange;
    try {
      for (const key of Object.keys(localStorage)) {
        if (!key.startsWith(this.#prefix)) continue;
        const entry = JSON.parse(localStorage.getItem(key));
        if (entry?.answer?.answer_id) this.#waiting.set(entry.answer.answer_id, entry);
      }
    } catch {
      this.isStored = false;
    }
    addEventListener("online", () => this.#now());
    addEventListener("beforeunload", (event) => {
      if (this.size && !this.isStored) event.preventDefault();
    });
    onChange(this);
    this.#now();
  }

  get size() {
    return this.#waiting.size;
  }

  // Answers that the server has refused, each with the reason.
  get refused() {
    try {
      return JSON.parse(localStorage.getItem(this.#refusedKey) ?? "[]");
    } catch {
      return [];
    }
  }

  dismissRefused() {
    localStorage.removeItem(this.#refusedKey);
    this.#onChange(this);
  }

  // Keeps an answer and begins to send it.
  put(answer) {
    const entry = { answer: { ...answer, at_ms: serverMs() }, order: ++this.#order };
    this.#waiting.set(answer.answer_id, entry);
    try {
      localStorage.setItem(this.#prefix + answer.answer_id, JSON.stringify(entry));
    } catch {
      this.isStored = false;
    }
    this.#onChange(this);
    this.#send();
  }

  #now() {
    this.#waitMs = FIRST_WAIT_MS;
    this.#send();
  }

  async #send() {
    if (this.#isSending || !this.size) return;
    this.#isSending = true;
    clearTimeout(this.#timer);
    try {
      while (this.size) await this.#sendSome(this.#inOrder().slice(0, MOST_AT_ONCE));
      this.#waitMs = FIRST_WAIT_MS;
      notice("");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.#later(problem);
    } finally {
      this.#isSending = false;
    }
  }

  #inOrder() {
    return [...this.#waiting.values()].sort(
      (a, b) => a.answer.at_ms - b.answer.at_ms || a.order - b.order,
    );
  }

  async #sendSome(entries) {
    const answers = entries.map((entry) => entry.answer);
    let taken;
    try {
      taken = await (await post("/answers", { reviewer, answers })).json();
    } catch (problem) {
      if (problem.status !== 422 && problem.status !== 413) throw problem;
      // One of them has a shape that the server does not know; the others are not held up.
      if (entries.length > 1) {
        for (const entry of entries) await this.#sendSome([entry]);
        return;
      }
      taken = { recorded: [], refused: [{ answer_id: answers[0].answer_id, problem: problem.message }] };
    }
    for (const { answer_id, problem } of taken.refused) this.#refuse(answer_id, problem);
    for (const id of taken.recorded) this.#drop(id);
    this.#onChange(this);
  }

  #drop(id) {
    this.#waiting.delete(id);
    try {
      localStorage.removeItem(this.#prefix + id);
    } catch {
      this.isStored = false;
    }
  }

  #refuse(id, problem) {
    const entry = this.#waiting.get(id);
    if (!entry) return;
    try {
      const all = [...this.refused, { ...entry, problem }];
      localStorage.setItem(this.#refusedKey, JSON.stringify(all));
    } catch {
      this.isStored = false;
    }
    this.#drop(id);
  }

  #later(problem) {
    const kept = this.size === 1 ? "1 answer is" : `${this.size} answers are`;
    if ([401, 403, 409].includes(problem.status)) {
      // Only a new page has a new login and a new form token; the answers wait for it.
      notice(`${kept} kept in this browser: ${problem.message}.`);
    } else if (this.#waitMs > FIRST_WAIT_MS) {
      notice(`${kept} kept in this browser and sent again: ${problem.message}.`);
    }
    this.#timer = setTimeout(() => this.#send(), this.#waitMs);
    this.#waitMs = Math.min(2 * this.#waitMs, LONGEST_WAIT_MS);
  }
}
