"""The score histogram as inline SVG: one strip for each label, the thresholds drawn through.

Strips, not stacked colours: counts of each label are read from a common line, and nothing
depends on telling colours apart. Colours are classes with a fill of their own beside them,
so that a page may restyle them and a viewer without styles still shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from markupsafe import Markup, escape

from ..decide.policy import Band

N_BINS: Final = 40
UNLABELLED: Final = "no label"
# Okabe and Ito's palette, which most colour-blind people can tell apart.
LABEL_COLOURS: Final = {
    "real": "#0072b2",
    "fake": "#d55e00",
    "laundered": "#cc79a7",
    UNLABELLED: "#767b84",
}
_STRIP_PX: Final = 74
_TOP_PX: Final = 36
_LEFT_PX: Final = 8
_GAP_PX: Final = 22
# Below this width a strip's heading would run through the thresholds.
_NARROW_PX: Final = 700
# An outlier of one among thousands must still be seen.
_LEAST_BAR_PX: Final = 2.0


def score_bins(rows: pl.DataFrame) -> pl.DataFrame:
    """Count scores by label and bin: label, bin (0 to N_BINS - 1), n; those without are left out.

    Args:
        rows: Columns prob_fake and label (null: no label).
    """
    return (
        rows.filter(pl.col("prob_fake").is_between(0, 1))
        .group_by(
            pl.col("label").cast(pl.String).fill_null(UNLABELLED),
            bin=(pl.col("prob_fake").cast(pl.Float64) * N_BINS)
            .floor()
            .clip(0, N_BINS - 1)
            .cast(pl.Int64),
        )
        .agg(n=pl.len().cast(pl.Int64))
    )


def by_label(bins: Mapping[tuple[str, int], int]) -> dict[str, list[int]]:
    """Return N_BINS counts for each label that has scores, from counts by (label, bin)."""
    counts = {label: [bins.get((label, i), 0) for i in range(N_BINS)] for label in LABEL_COLOURS}
    return {label: row for label, row in counts.items() if any(row)}


def histogram_svg(
    counts: Mapping[str, Sequence[int]], band: Band | None, *, width_px: int, n_bins: int = N_BINS
) -> Markup:
    """Draw it.

    Args:
        counts: N_BINS counts for each label.
        band: Thresholds to draw, or None.
        width_px: Width of the drawing; text keeps its size, so small screens need a small one.
        n_bins: Number of bins to draw; a divisor of N_BINS.
    """
    merge = N_BINS // n_bins
    strips = {
        label: [sum(row[i : i + merge]) for i in range(0, N_BINS, merge)]
        for label, row in counts.items()
    }
    plot_px = width_px - 2 * _LEFT_PX
    bottom_px = _TOP_PX + len(strips) * (_STRIP_PX + _GAP_PX)
    height_px = bottom_px + 36
    parts = [
        Markup(
            '<svg class="hist" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" '
            'width="{0}" height="{1}" role="img" aria-label="{2}" '
            'font-family="system-ui, sans-serif" font-size="12">'
        ).format(width_px, height_px, _in_words(counts, band))
    ]
    if band is not None:
        parts += _zones(band, plot_px, bottom_px)
    for number, (label, row) in enumerate(strips.items()):
        top_px = _TOP_PX + number * (_STRIP_PX + _GAP_PX) + _GAP_PX
        parts += _strip(label, row, top_px, plot_px)
    if band is not None:
        parts += _lines(band, plot_px, bottom_px, width_px)
    parts += _axis(plot_px, bottom_px)
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _zones(band: Band, plot_px: int, bottom_px: int) -> list[Markup]:
    edges = {
        "clear": (0.0, band.review_at, "#0072b2"),
        "review": (band.review_at, band.flag_at, "#e69f00"),
        "flag": (band.flag_at, 1.0, "#aa3377"),
    }
    return [
        Markup(
            '<rect class="zone-{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" '
            'fill="{}" fill-opacity="0.08"/>'
        ).format(
            name, _LEFT_PX + low * plot_px, _TOP_PX, (high - low) * plot_px, bottom_px - _TOP_PX, c
        )
        for name, (low, high, c) in edges.items()
    ]


def _strip(label: str, row: Sequence[int], top_px: int, plot_px: int) -> list[Markup]:
    base_px = top_px + _STRIP_PX
    bar_px = plot_px / len(row)
    most = max(row)
    colour = LABEL_COLOURS[label]
    heading = f"{sum(row):,} image{'' if sum(row) == 1 else 's'}"
    if plot_px > _NARROW_PX:
        heading += f", {most:,} in the highest bar"
    parts = [
        Markup(
            '<text x="{}" y="{}" fill="currentColor"><tspan font-weight="600">{}</tspan>'
            '<tspan dx="6" opacity="0.75">{}</tspan></text>'
        ).format(_LEFT_PX + 2, top_px - 5, label, heading)
    ]
    for index, n in enumerate(row):
        if not n:
            continue
        tall_px = max(_LEAST_BAR_PX, n / most * (_STRIP_PX - 4))
        low, high = index / len(row), (index + 1) / len(row)
        parts.append(
            Markup(
                '<rect class="bar-{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" '
                'fill="{}"><title>{}, score {:.3g} to {:.3g}: {:,}</title></rect>'
            ).format(
                label.replace(" ", "-"),
                _LEFT_PX + index * bar_px + 0.5,
                base_px - tall_px,
                bar_px - 1,
                tall_px,
                colour,
                label,
                low,
                high,
                n,
            )
        )
    parts.append(
        Markup(
            '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="currentColor" stroke-opacity="0.4"/>'
        ).format(_LEFT_PX, _LEFT_PX + plot_px, base_px, base_px)
    )
    return parts


def _lines(band: Band, plot_px: int, bottom_px: int, width_px: int) -> list[Markup]:
    parts = []
    # A row of its own for each name: thresholds may lie close together, or on one another.
    for name, at, text_px, dash in (
        ("review", band.review_at, 12, "2 3"),
        ("flag", band.flag_at, 28, "7 3"),
    ):
        x_px = _LEFT_PX + at * plot_px
        is_left = x_px > width_px - 110
        parts.append(
            Markup(
                '<line class="at-{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}" stroke="currentColor" '
                'stroke-width="1.5" stroke-dasharray="{}"/>'
                '<text x="{:.1f}" y="{}" text-anchor="{}" fill="currentColor">{} from {:g}</text>'
            ).format(
                name,
                x_px,
                x_px,
                text_px - 10,
                bottom_px,
                dash,
                x_px + (-5 if is_left else 5),
                text_px,
                "end" if is_left else "start",
                name,
                at,
            )
        )
    return parts


def _axis(plot_px: int, bottom_px: int) -> list[Markup]:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        anchor = {0.0: "start", 1.0: "end"}.get(tick, "middle")
        parts.append(
            Markup(
                '<text x="{:.1f}" y="{}" text-anchor="{}" fill="currentColor">{:g}</text>'
            ).format(_LEFT_PX + tick * plot_px, bottom_px + 15, anchor, tick)
        )
    parts.append(
        Markup(
            '<text x="{:.1f}" y="{}" text-anchor="middle" fill="currentColor" opacity="0.75">'
            "score (higher: more likely machine-made)</text>"
        ).format(_LEFT_PX + plot_px / 2, bottom_px + 31)
    )
    return parts


def _in_words(counts: Mapping[str, Sequence[int]], band: Band | None) -> str:
    heads = ", ".join(f"{sum(row):,} {label}" for label, row in counts.items())
    at = f"; review from {band.review_at:g}, flag from {band.flag_at:g}" if band else ""
    return str(escape(f"Histogram of scores: {heads}{at}"))
