"""Charts of two populations: bars of text for a terminal, and inline SVG for a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from .bins import Bins

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
WIDTH_PX: Final = 240
HEIGHT_PX: Final = 72


def bars_text(counts: Sequence[int]) -> str:
    """Return counts as one character each, in eighths of the largest; none but 0 is blank.

    Args:
        counts: Counts of the bins, at least one above 0.
    """
    most = max(counts)
    return "".join(_BLOCKS[-(-8 * n // most)] for n in counts)


def bins_svg(bins: Bins) -> Markup:
    """Return two histograms over each other: the earlier one filled, the later one as a line.

    Heights are shares of each population, so that their sizes do not matter. The drawing stretches
    to its box and has no text; shape tells the two apart, not colour alone.

    Args:
        bins: Counts of both populations.
    """
    shares = [[n / sum(side) for n in side] for side in (bins.before, bins.after)]
    most = max(max(side) for side in shares)
    step_px = WIDTH_PX / len(bins.before)
    heights = [[HEIGHT_PX * share / most for share in side] for side in shares]
    path = Markup(" ").join(
        Markup("{:.1f},{:.1f}").format(x * step_px, HEIGHT_PX - tall)
        for index, tall in enumerate(heights[1])
        for x in (index, index + 1)
    )
    parts = [
        Markup(
            '<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 -2 {} {}"'
            ' preserveAspectRatio="none" aria-hidden="true">'
        ).format(WIDTH_PX, HEIGHT_PX + 4),
        *(
            Markup(
                '<rect class="before" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"'
                ' fill="#767b84" fill-opacity="0.45"/>'
            ).format(index * step_px, HEIGHT_PX - tall, step_px, tall)
            for index, tall in enumerate(heights[0])
        ),
        Markup(
            '<polyline class="after" points="{}" fill="none" stroke="#d55e00" stroke-width="2"'
            ' vector-effect="non-scaling-stroke"/></svg>'
        ).format(path),
    ]
    return Markup("").join(parts)
