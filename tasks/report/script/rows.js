// The rows of the grid: which fit the filters, and in which order. No document here.

/** Filters that every row fits. */
export const EVERYTHING = {
  decisions: null, // set of indices, or null
  reason: -1,
  domain: -1,
  label: -1,
  low: null,
  high: null,
  text: "",
  withThumbnail: false,
  againstLabel: false,
};

/** Return the id of a row: its first twelve hexadecimal digits, as commands take it. */
export function idOf(rows, row) {
  let id = "";
  for (let i = 6 * row; i < 6 * row + 6; i++) id += rows.id[i].toString(16).padStart(2, "0");
  return id;
}

/** Return the numbers of the rows that fit the filters, in ascending order. */
export function fitting(rows, filters, vocabulary, thumbnails) {
  const found = [];
  const text = filters.text.trim().toLowerCase();
  const [real, fake, laundered] = ["real", "fake", "laundered"].map((n) => vocabulary.labels.indexOf(n));
  const [clear, flag] = ["clear", "flag"].map((name) => vocabulary.decisions.indexOf(name));
  const { low, high } = filters;
  for (let row = 0; row < rows.prob.length; row++) {
    const [decision, label, prob] = [rows.decision[row], rows.label[row], rows.prob[row]];
    if (filters.decisions && !filters.decisions.has(decision)) continue;
    if (filters.reason >= 0 && !((rows.reasons[row] >>> filters.reason) & 1)) continue;
    if (filters.domain >= 0 && rows.domain[row] !== filters.domain) continue;
    if (filters.label >= 0 && label !== filters.label) continue;
    // Scores are float32: a bound is compared as the float32 next to it.
    if (low !== null && !(prob >= Math.fround(low))) continue;
    if (high !== null && !(prob <= Math.fround(high))) continue;
    if (filters.withThumbnail && !thumbnails.has(idOf(rows, row))) continue;
    if (filters.againstLabel) {
      const isWrong =
        (decision === flag && (label === real || label === laundered)) ||
        (decision === clear && label === fake);
      if (!isWrong) continue;
    }
    if (text && !rows.address[row].toLowerCase().includes(text) && !idOf(rows, row).startsWith(text)) continue;
    found.push(row);
  }
  return found;
}

/** Orders by name. Rows without a score come last in orders by score. */
export const ORDERS = {
  highest: ["highest score first", (rows) => (row) => -rows.prob[row]],
  lowest: ["lowest score first", (rows) => (row) => rows.prob[row]],
  nearest: [
    "nearest to the flag threshold first",
    (rows, vocabulary) => (row) => Math.abs(rows.prob[row] - vocabulary.flag_at[rows.domain[row]]),
  ],
  address: ["address", () => (row) => row],
  kilobytes: ["largest file first", (rows) => (row) => -rows.kilobytes[row]],
  pixels: ["most pixels first", (rows) => (row) => -rows.width[row] * rows.height[row]],
};

/** Sort row numbers in place, ties by address, and return them. */
export function sorted(found, order, rows, vocabulary) {
  const keyOf = ORDERS[order][1](rows, vocabulary);
  const keys = new Float64Array(rows.prob.length);
  for (const row of found) {
    const key = keyOf(row);
    keys[row] = Number.isNaN(key) ? Infinity : key;
  }
  // Rows are stored in the order of their addresses.
  return found.sort((a, b) => (keys[a] === keys[b] ? a - b : keys[a] - keys[b]));
}
