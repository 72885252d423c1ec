// Single keys, and the dialog that lists them.

const OFF = "assay-keys-off";
const bindings = [];

// Binds keys, by `event.key`, to an action: bind({ keys: ["?"], group: "Page", label, run }).
// `run` may return false to let the browser act as usual.
export function bind(binding) {
  bindings.push(binding);
}

const areOff = () => localStorage.getItem(OFF) === "yes";

function isTyping(target) {
  return (
    target instanceof Element &&
    target.closest("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea, select, [contenteditable]") !== null
  );
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const open = document.querySelector("dialog[open]");
  if (open) {
    if (event.key === "?") open.close();
    return;
  }
  if (isTyping(event.target)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  // Space and Enter press the button or link that has the focus.
  const presses = event.key === " " || event.key === "Enter";
  if (presses && event.target instanceof Element && event.target.closest("button, a, summary, input")) return;
  for (const { keys, run, always } of bindings) {
    if (!keys.includes(event.key) || (areOff() && !always)) continue;
    if (run(event) !== false) event.preventDefault();
    return;
  }
});

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };

function listKeys(into) {
  into.replaceChildren();
  for (const group of new Set(bindings.map((binding) => binding.group))) {
    const heading = document.createElement("h3");
    heading.textContent = group;
    const list = document.createElement("dl");
    list.className = "keys-of";
    for (const { keys, label } of bindings.filter((binding) => binding.group === group)) {
      const name = document.createElement("dt");
      keys.forEach((key, index) => {
        if (index) name.append(" ");
        const cap = document.createElement("kbd");
        const isCapital = key.length === 1 && key !== key.toLowerCase();
        cap.textContent = isCapital ? `Shift ${key}` : (NAMES[key] ?? key);
        name.append(cap);
      });
      const text = document.createElement("dd");
      text.textContent = label;
      list.append(name, text);
    }
    const section = document.createElement("section");
    section.append(heading, list);
    into.append(section);
  }
}

export function showHelp() {
  const dialog = document.getElementById("help");
  listKeys(document.getElementById("help-keys"));
  const box = document.getElementById("keys-on");
  box.checked = !areOff();
  box.onchange = () => localStorage.setItem(OFF, box.checked ? "no" : "yes");
  dialog.showModal();
}
