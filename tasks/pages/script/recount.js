// Decisions under other thresholds, counted from cells as `tasks/report/thresholds.py` makes them.

export const CLEAR = 0;
export const REVIEW = 1;
export const FLAG = 2;
const FREE = 3; // decided by its score alone
const RAISED = 4; // never cleared: declared AI-generated, or not as seen

/**
 * Return the number of images per decision, of all and per label.
 *
 * cells: columns group, kind, bin, view, label, decision (of the run), n. An image is at or above step `k` if its bin is
 *   greater than `k`; view 0 is no view.
 * band: function from a group to [review step, flag step], or to null for the run's decisions.
 * labels: number of labels.
 */
export function recount(cells, band, labels, only = null) {
  const all = [0, 0, 0];
  const byLabel = Array.from({ length: labels }, () => [0, 0, 0]);
  for (let i = 0; i < cells.n.length; i++) {
    const group = cells.group[i];
    if (only !== null && group !== only) continue;
    const steps = band(group);
    const decision = steps
      ? decide(cells.kind[i], cells.bin[i], cells.view[i], ...steps)
      : cells.decision[i];
    all[decision] += cells.n[i];
    byLabel[cells.label[i]][decision] += cells.n[i];
  }
  return { all, byLabel };
}

function decide(kind, bin, view, review, flag) {
  if (kind < FREE) return kind;
  if (bin > flag) return FLAG;
  return bin > review || kind === RAISED || view > flag ? REVIEW : CLEAR;
}

/** Return the 95 % score interval of a share (Wilson 1927); [0, 1] for no trials. */
export function wilson(k, n) {
  if (n === 0) return [0, 1];
  const z = 1.959963984540054;
  const centre = (k + (z * z) / 2) / (n + z * z);
  const half = (z / (n + z * z)) * Math.sqrt((k * (n - k)) / n + (z * z) / 4);
  return [k === 0 ? 0 : centre - half, k === n ? 1 : centre + half];
}
