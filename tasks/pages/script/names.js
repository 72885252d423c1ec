// Names, scores and sizes as `captions.py` writes them.

/** Return a text with control and format characters replaced: they can disguise a name. */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}]/gu, "\ufffd");
}

/** Return the last part of an item's path, or its row in a table. */
export function shortName(address) {
  if (!address) return "unnamed";
  const cut = address.lastIndexOf("!");
  const member = address.slice(cut + 1);
  if (cut > 0 && /^\d+$/.test(member)) return `${shortName(address.slice(0, cut))} row ${member}`;
  const path = (cut > 0 ? member : address.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, "")).split(/[?#]/)[0];
  const last = path.split("/").filter(Boolean).pop();
  return visible(unquoted(last ?? "")) || visible(address);
}

function unquoted(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Return a score with three decimals; only exactly 0 and 1 are shown as 0.000 and 1.000. */
export function scoreText(prob) {
  if (Number.isNaN(prob)) return "no score";
  if (prob > 0 && prob < 0.0005) return "<0.001";
  if (prob >= 0.9995 && prob < 1) return ">0.999";
  return prob.toFixed(3);
}

/** Return a count with separators of thousands, as the rest of the page has them. */
export function countText(n) {
  return n.toLocaleString("en-US");
}

/** Return a number of kilobytes with its unit. */
export function kilobytesText(n) {
  return n < 1000 ? `${n} kB` : `${(n / 1000).toFixed(1)} MB`;
}
