// Elements of a page. Text from outside enters as text only: nothing here parses HTML.

/** Return a new element with attributes, handlers (functions) and children (texts, elements). */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== false && child !== ""));
  return made;
}

/** Return the value in an element with JSON. */
export function json(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** Copy a text; where the clipboard is closed to pages, through a selection. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const box = element("textarea", { readonly: true, class: "offscreen" });
    box.value = text;
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  }
}
