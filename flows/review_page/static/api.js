// Requests to this server, and messages to the person.

const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

export const reviewer = meta("reviewer");

// The server's clock, taken once: what happens on this page keeps its order.
const offsetMs = Number(meta("server-ms")) - performance.now();
export const serverMs = () => offsetMs + performance.now();

// An answer of the server that says what is wrong; `status` 0 means that no answer came.
export class Problem extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function answered(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", redirect: "error", ...options });
  } catch {
    throw new Problem("the server does not answer", 0);
  }
  if (answer.ok) return answer;
  let problem = `the server answered ${answer.status}`;
  try {
    const said = await answer.json();
    problem = said.problem ?? problem;
  } catch {
    // No JSON: a proxy or a crash answered.
  }
  throw new Problem(problem, answer.status);
}

// Returns the answer to a GET request; throws a Problem.
export const get = (path) => answered(path, {});

// Posts a value as JSON and returns the answer; throws a Problem.
export function post(path, value, { keepalive = false, signal } = {}) {
  return answered(path, {
    method: "POST",
    keepalive,
    signal,
    headers: { "Content-Type": "application/json", "X-Form-Token": meta("form-token") },
    body: JSON.stringify(value),
  });
}

// Says a sentence to screen readers.
export function announce(text) {
  const line = document.getElementById("announcer");
  if (line) line.textContent = text;
}

// Shows a sentence until it is replaced; an empty one hides it.
export function notice(text) {
  const line = document.getElementById("notice");
  if (!line) return;
  line.hidden = !text;
  if (line.textContent !== text) line.textContent = text;
}
