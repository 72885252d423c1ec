"""Figures of a benchmark as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ..detector.selection.drift import limit_logit
from ..detector.selection.measurements import Measured
from .on_lake import Benched


def rate_table(measured: Sequence[Measured]) -> str:
    """Return speed and largest drift, one line per backend."""
    lines = [f"{'backend':<20} {'precision':<18} {'images/s':>8} {'largest drift':>14}"]
    lines += [
        f"{m.backend:<20} {m.precision:<18} {m.images_per_second:>8.1f} {m.drift.max:>14.2g}"
        for m in measured
    ]
    return "\n".join([*lines, f"drift: of the logit, on {measured[0].pictures}"])


def drift_table(found: Sequence[Benched]) -> str:
    """Return drift, flips and AUC by kind of image, one block per backend."""
    lines = []
    for benched in found:
        m = benched.measured
        verdict = "within" if benched.is_within else "OVER"
        lines.append(
            f"{m.backend} {m.precision}: {m.images_per_second:.1f} images/s, {verdict} its limit of"
            f" {limit_logit(m.precision):g} logit, on {m.pictures}"
        )
        lines.append(
            f"  {'images':<26} {'n':>5} {'mean':>9} {'p99':>9} {'max':>9} {'flips':>6} {'AUC':>15}"
        )
        for part in benched.slices:
            drift = part.drift
            auc = "-"
            if part.auc is not None and part.auc_reference is not None:
                auc = f"{part.auc_reference:.4f} {part.auc - part.auc_reference:+.4f}"
            lines.append(
                f"  {part.name:<26} {drift.n_images:>5} {drift.mean:>9.2g} {drift.p99:>9.2g}"
                f" {drift.max:>9.2g} {part.flips:>6} {auc:>15}"
            )
    return "\n".join(lines)
