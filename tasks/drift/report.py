"""Drift of a lake, and its forms: text and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...data.store.lake import Lake
from ...data.text.wording import counted
from .charts import bars_text
from .compare import ALPHA, Comparison, Drift, compare
from .groups import By, grouped
from .measures import MIN_DISTANCE, Measure
from .populations import Populations, reader_of_vectors

_ALL = "all images"


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """Comparisons of two populations, of all images or by group.

    Attributes:
        populations: The two populations.
        comparisons: Comparison by group; one named `all images` without groups.
        n_left_out: Number of groups that are not compared.
        alpha: Probability of a false alarm in any comparison.
        limit: Smallest distance that counts as a shift.
    """

    populations: Populations
    comparisons: dict[str, Comparison]
    n_left_out: int
    alpha: float
    limit: float

    @property
    def drifted(self) -> list[str]:
        """Names of the groups with a shift."""
        return [name for name, one in self.comparisons.items() if one.drift is not Drift.NONE]

    @property
    def farthest(self) -> tuple[str, Comparison]:
        """Group with the largest distance of a measure that has shifted, else the first."""

        def distance(pair: tuple[str, Comparison]) -> float:
            _, one = pair
            return max((m.distance for m in one.measures if m.name in one.shifted), default=-1.0)

        return max(self.comparisons.items(), key=distance)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON-ready values."""
        return {
            **self.populations.key.as_row(),
            "before": self.populations.before_name,
            "after": self.populations.after_name,
            "alpha": self.alpha,
            "limit": self.limit,
            "has_drifted": bool(self.drifted),
            "groups_left_out": self.n_left_out,
            "comparisons": [_json(name, one) for name, one in self.comparisons.items()],
        }

    def text(self, *, has_bars: bool = True) -> str:
        """Return the report as lines of text.

        Args:
            has_bars: Whether to draw the scores, and what has shifted, as bars of block characters.
        """
        lines = [
            f"before      {self.populations.before_name}",
            f"after       {self.populations.after_name}",
            f"scores      {self.populations.key.describe()}",
        ]
        for name, one in self.comparisons.items():
            lines += ["", *_lines(name, one, has_bars=has_bars)]
        if self.n_left_out:
            lines += [
                "",
                f"{counted(self.n_left_out, 'group is', 'groups are')} left out: too few images, or"
                " too many groups",
            ]
        lines += [
            "",
            f"* shifted, by a distance of {self.limit:g} or more. Without any change, an alarm in"
            f" any comparison has a probability of at most {100 * self.alpha:g} %.",
        ]
        return "\n".join(lines)


def drift_report(
    lake: Lake,
    populations: Populations,
    *,
    by: By | None = None,
    alpha: float = ALPHA,
    limit: float = MIN_DISTANCE,
    seed: int = 0,
) -> DriftReport:
    """Compare two populations of a lake, whole or by group.

    Args:
        lake: Lake of the images.
        populations: Populations to compare.
        by: Property by which both are divided; None for all images at once.
        alpha: Probability of a false alarm in any comparison, in (0, 1).
        limit: Smallest distance that counts as a shift, 0 to 1.
        seed: Seed of samples and permutations.

    Raises:
        InputError: No group has enough images in both populations.
        StoreError: The lake cannot be read.
    """
    pairs, n_left_out = {_ALL: (populations.before, populations.after)}, 0
    if by is not None:
        pairs, n_left_out = grouped(lake, populations, by)
    read_vectors = reader_of_vectors(lake, populations.key)
    return DriftReport(
        populations=populations,
        comparisons=compare(pairs, read_vectors, alpha=alpha, limit=limit, seed=seed),
        n_left_out=n_left_out,
        alpha=alpha,
        limit=limit,
    )


def _json(name: str, one: Comparison) -> dict[str, Any]:
    return {
        "group": name,
        "verdict": one.drift.value,
        "sentence": one.drift.text,
        "images_before": one.n_before,
        "images_after": one.n_after,
        "images_encoded_alike": one.n_alike,
        "measures": {
            measure.name: {
                "before": measure.before,
                "after": measure.after,
                "images_before": measure.n_before,
                "images_after": measure.n_after,
                "distance": measure.distance,
                "psi": measure.psi,
                "p_value": measure.p_value,
                "is_shifted": measure.name in one.shifted,
                "bins": None if measure.bins is None else asdict(measure.bins),
            }
            for measure in one.measures
        },
    }


def _lines(name: str, one: Comparison, *, has_bars: bool) -> list[str]:
    lines = [
        f"{name}: {counted(one.n_before, 'image')} before, {one.n_after:,} after",
        f"  {one.drift.text}",
    ]
    if one.n_alike is not None:
        lines.append(f"  {counted(one.n_alike, 'image')} of each side encoded alike")
    lines.append(f"  {'':<16}{'before':>14}{'after':>14}{'distance':>10}{'PSI':>8}{'p':>10}")
    for measure in one.measures:
        stable = "" if measure.psi is None else f"{measure.psi:.3f}"
        mark = " *" if measure.name in one.shifted else ""
        lines.append(
            f"  {measure.name:<16}{value_text(measure, measure.before):>14}"
            f"{value_text(measure, measure.after):>14}{measure.distance:>10.3f}{stable:>8}"
            f"{measure.p_value:>10.2g}{mark}"
        )
        if has_bars and measure.bins and (mark or measure.name == "score"):
            lines += [
                f"    {'before':<8}|{bars_text(measure.bins.before)}|",
                f"    {'after':<8}|{bars_text(measure.bins.after)}|",
            ]
    return lines


def value_text(measure: Measure, value: float | dict[str, float] | None) -> str:
    """Return a median, or the most frequent format with its share."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        first = max(value, key=lambda name: value[name])
        return f"{first} {100 * value[first]:.0f} %"
    return f"{value:.2f}" if measure.name in {"score", "bits_per_pixel"} else f"{value:,.0f}"
