"""The score histogram as inline SVG: one strip per label, crossed by the threshold lines.

Labels have strips of their own, not stacked colours: each strip has a common baseline, and no
reading depends on colour. Each shape has a class and a fill attribute, so that a page can restyle
it and a viewer without styles still shows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import polars as pl
from markupsafe import Markup, escape

from ..decide.policy import Band

N_BINS: Final = 40
UNLABELLED: Final = "no label"
# Palette of Okabe and Ito (2008), "Color Universal Design", distinguishable for most colour-blind
# readers.
LABEL_COLOURS: Final = {
    "real": "#0072b2",
    "fake": "#d55e00",
    "laundered": "#cc79a7",
    UNLABELLED: "#767b84",
}
_STRIP_PX: Final = 74
_TOP_PX: Final = 36
LEFT_PX: Final = 8
_GAP_PX: Final = 22
# In a narrower drawing, the full heading of a strip would cross the threshold lines.
_NARROW_PX: Final = 700
# Keeps a bar of one image among thousands visible.
_LEAST_BAR_PX: Final = 2.0


def score_bins(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the number of scores per label and bin; rows without a score are left out.

    Args:
        rows: Columns prob_fake, in [0, 1] or null, and label (null: no label).

    Returns:
        Columns label, bin (0 to N_BINS - 1) and n.
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
    """Return N_BINS counts per label that has scores, from the counts by (label, bin)."""
    counts = {label: [bins.get((label, i), 0) for i in range(N_BINS)] for label in LABEL_COLOURS}
    return {label: row for label, row in counts.items() if any(row)}


def histogram_svg(
    counts: Mapping[str, Sequence[int]], band: Band | None, *, width_px: int, n_bins: int = N_BINS
) -> Markup:
    """Return the histogram as an SVG element.

    Args:
        counts: N_BINS counts per label.
        band: Thresholds to draw; None draws none.
        width_px: Width of the drawing. Text keeps its size, so that a small screen needs a
            drawing of its own.
        n_bins: Number of bars per strip; a divisor of N_BINS.
    """
    merge = N_BINS // n_bins
    strips = {
        label: [sum(row[i : i + merge]) for i in range(0, N_BINS, merge)]
        for label, row in counts.items()
    }
    plot_px = width_px - 2 * LEFT_PX
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
            name, LEFT_PX + low * plot_px, _TOP_PX, (high - low) * plot_px, bottom_px - _TOP_PX, c
        )
        for name, (low, high, c) in edges.items()
    ]


def _strip(label: str, row: Sequence[int], top_px: int, plot_px: int) -> list[Markup]:
    base_px = top_px + _STRIP_PX
    bar_px = plot_px / len(row)
    most = max(row)
    colour = LABEL_COLOURS[label]
    heading = f"{sum(row):,}"
    if plot_px > _NARROW_PX:
        heading += f" image{'' if sum(row) == 1 else 's'}, {most:,} in the highest bar"
    parts = [
        Markup(
            '<text x="{}" y="{}" fill="currentColor"><tspan font-weight="600">{}</tspan>'
            '<tspan dx="6" opacity="0.75">{}</tspan></text>'
        ).format(LEFT_PX + 2, top_px - 5, label, heading)
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
                LEFT_PX + index * bar_px + 0.5,
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
        ).format(LEFT_PX, LEFT_PX + plot_px, base_px, base_px)
    )
    return parts


def _lines(band: Band, plot_px: int, bottom_px: int, width_px: int) -> list[Markup]:
    parts = []
    # Each name has a row of its own, since the thresholds may lie close together or coincide.
    for name, at, text_px, dash in (
        ("review", band.review_at, 12, "2 3"),
        ("flag", band.flag_at, 28, "7 3"),
    ):
        x_px = LEFT_PX + at * plot_px
        is_left = x_px > width_px - 110
        parts.append(
            Markup(
                '<line class="at-{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}" stroke="currentColor" '
                'stroke-width="1.5" stroke-dasharray="{}"/>'
                '<text class="name-{}" x="{:.1f}" y="{}" text-anchor="{}" fill="currentColor">'
                "{} from {:g}</text>"
            ).format(
                name,
                x_px,
                x_px,
                text_px - 10,
                bottom_px,
                dash,
                name,
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
            ).format(LEFT_PX + tick * plot_px, bottom_px + 15, anchor, tick)
        )
    parts.append(
        Markup(
            '<text x="{:.1f}" y="{}" text-anchor="middle" fill="currentColor" opacity="0.75">'
            "score (higher: more likely AI-generated)</text>"
        ).format(LEFT_PX + plot_px / 2, bottom_px + 31)
    )
    return parts


def _in_words(counts: Mapping[str, Sequence[int]], band: Band | None) -> str:
    heads = ", ".join(f"{sum(row):,} {label}" for label, row in counts.items())
    at = f"; review from {band.review_at:g}, flag from {band.flag_at:g}" if band else ""
    return str(escape(f"Histogram of scores: {heads}{at}"))
