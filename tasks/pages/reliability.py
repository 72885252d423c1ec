"""The reliability diagram as inline SVG: predicted probability against the observed share of fakes.

Each point is a range of probabilities with the exact interval of its share; bars below count the
images of each range. Shapes have classes and fill attributes, so that a page can restyle them and a
viewer without styles still shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup, escape

from ...data.text.wording import counted
from ..calibrate.reliability import Bin

WIDTH_PX: Final = 320
_LEFT_PX: Final = 46
_TOP_PX: Final = 10
_SIDE_PX: Final = 258
_COUNTS_PX: Final = 44
_GAP_PX: Final = 40
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_COLOUR: Final = "#0072b2"
_UNITS: Final = ((1_000_000, "M"), (1_000, "k"))


def reliability_svg(bins: Sequence[Bin]) -> Markup:
    """Return the diagram as an SVG element of `WIDTH_PX`, which fits a narrow screen.

    Args:
        bins: Ranges of equal width, ascending, at least one of them with images.
    """
    base_px = _TOP_PX + _SIDE_PX + _GAP_PX + _COUNTS_PX
    height_px = base_px + 22
    parts = [
        Markup(
            '<svg class="rel" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" '
            'width="{0}" height="{1}" role="img" aria-label="{2}" '
            'font-family="system-ui, sans-serif" font-size="12">'
        ).format(WIDTH_PX, height_px, _in_words(bins)),
        *_axes(),
    ]
    for one in bins:
        parts += _point(one)
    parts += _counts(bins, base_px)
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _x(prob: float) -> float:
    return _LEFT_PX + prob * _SIDE_PX


def _y(share: float) -> float:
    return _TOP_PX + (1 - share) * _SIDE_PX


def _axes() -> list[Markup]:
    bottom_px = _TOP_PX + _SIDE_PX
    parts = []
    for tick in _TICKS:
        parts.append(
            Markup(
                '<line x1="{0:.1f}" x2="{0:.1f}" y1="{1}" y2="{2}" stroke="currentColor" '
                'stroke-opacity="0.13"/><line x1="{3}" x2="{4}" y1="{5:.1f}" y2="{5:.1f}" '
                'stroke="currentColor" stroke-opacity="0.13"/>'
                '<text x="{0:.1f}" y="{6}" text-anchor="middle" fill="currentColor">{8:.0f}</text>'
                '<text x="{7}" y="{9:.1f}" text-anchor="end" fill="currentColor">{8:.0f}</text>'
            ).format(
                _x(tick), _TOP_PX, bottom_px, _LEFT_PX, _LEFT_PX + _SIDE_PX, _y(tick),
                bottom_px + 15, _LEFT_PX - 6, 100 * tick, _y(tick) + 4,
            )
        )  # fmt: skip
    middle_px = _LEFT_PX + _SIDE_PX / 2
    parts.append(
        Markup(
            '<line class="rel-equal" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" '
            'stroke="currentColor" stroke-opacity="0.6" stroke-dasharray="5 4"/>'
            '<text x="{:.1f}" y="{}" text-anchor="middle" fill="currentColor" opacity="0.75">'
            "calibrated probability, %</text>"
            '<text transform="translate(11 {:.1f}) rotate(-90)" text-anchor="middle" '
            'fill="currentColor" opacity="0.75">labelled fake, %</text>'
        ).format(_x(0), _x(1), _y(0), _y(1), middle_px, bottom_px + 31, _y(0.5))
    )
    return parts


def _point(one: Bin) -> list[Markup]:
    interval = one.interval
    if interval is None or one.mean_prob is None:
        return []
    x_px = _x(one.mean_prob)
    return [
        Markup(
            '<line class="rel-range" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}" '
            'stroke="{3}" stroke-width="2"/>'
            '<circle class="rel-point" cx="{0:.1f}" cy="{4:.1f}" r="4.5" fill="{3}">'
            "<title>{5}</title></circle>"
        ).format(
            x_px, _y(interval.low), _y(interval.high), _COLOUR, _y(interval.value), _sentence(one)
        )
    ]


def _counts(bins: Sequence[Bin], base_px: int) -> list[Markup]:
    most = max(one.n for one in bins)
    parts = [
        Markup(
            '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="currentColor" stroke-opacity="0.4"/>'
            '<text x="{}" y="{}" text-anchor="end" fill="currentColor" font-size="11">images</text>'
        ).format(_LEFT_PX, _LEFT_PX + _SIDE_PX, base_px, base_px, _LEFT_PX - 2, base_px + 13)
    ]
    for one in bins:
        if not one.n:
            continue
        tall_px = max(2.0, one.n / most * _COUNTS_PX)
        left_px, right_px = _x(one.low), _x(one.high)
        parts.append(
            Markup(
                '<rect class="rel-count" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" '
                'fill="#767b84"><title>{}</title></rect><text x="{:.1f}" y="{}" '
                'text-anchor="middle" fill="currentColor" font-size="10.5">{}</text>'
            ).format(
                left_px + 1, base_px - tall_px, right_px - left_px - 2, tall_px, _sentence(one),
                (left_px + right_px) / 2, base_px + 13, _short(one.n),
            )
        )  # fmt: skip
    return parts


def _short(n: int) -> str:
    """Return a count in at most four characters, such as 950, 1.2k or 34k."""
    for unit, name in _UNITS:
        if n >= unit:
            return f"{n / unit:.2g}{name}" if n < 10 * unit else f"{n // unit}{name}"
    return str(n)


def _sentence(one: Bin) -> str:
    interval = one.interval
    found = "" if interval is None else f", {interval.text()} labelled fake"
    of = f"probability {100 * one.low:.0f} to {100 * one.high:.0f} %"
    return f"{of}: {counted(one.n, 'image')}{found}"


def _in_words(bins: Sequence[Bin]) -> str:
    heads = "; ".join(_sentence(one) for one in bins if one.n)
    return str(escape(f"Reliability diagram. {heads}"))
