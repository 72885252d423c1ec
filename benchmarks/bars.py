"""A bar chart as SVG: names on the left, medians with their spread, a line for a limit."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

ROW_PX, LEFT_PX, WIDTH_PX, TOP_PX, RIGHT_PX = 30, 370, 900, 64, 70
OURS, OTHERS, PALE_OURS, INK, LIMIT = "#0f766e", "#64748b", "#94a3b8", "#0f172a", "#b91c1c"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One bar; `low` and `high` are drawn as a whisker."""

    name: str
    value: float
    low: float
    high: float
    is_ours: bool = False
    is_pale: bool = False


def draw_bars(bars: list[Bar], *, title: str, limit: float, limit_name: str) -> str:
    """Draw the chart; a limit far from all bars stays inside."""
    span = WIDTH_PX - LEFT_PX - RIGHT_PX
    scale = span / max(limit, *(bar.high for bar in bars))
    height = TOP_PX + ROW_PX * len(bars) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height}"'
        f' font-family="system-ui, sans-serif" font-size="13" fill="{INK}">',
        f'<rect width="{WIDTH_PX}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
    ]
    at = LEFT_PX + scale * limit
    parts += [
        f'<path d="M{at:.1f} {TOP_PX - 8}V{height - 16}" stroke="{LIMIT}" stroke-dasharray="4 3"/>',
        f'<text x="{at:.1f}" y="{TOP_PX - 14}" text-anchor="end" fill="{LIMIT}">'
        f"limit: {escape(limit_name)} {limit:.1f}</text>",
    ]
    for index, bar in enumerate(bars):
        top = TOP_PX + index * ROW_PX
        middle = top + ROW_PX / 2
        colour = OURS if bar.is_ours else PALE_OURS if bar.is_pale else OTHERS
        low, high, end = (LEFT_PX + scale * at for at in (bar.low, bar.high, bar.value))
        weight = ' font-weight="600"' if bar.is_ours else ""
        parts += [
            f'<text x="{LEFT_PX - 10}" y="{middle + 4}" text-anchor="end"{weight}>'
            f"{escape(bar.name)}</text>",
            f'<rect x="{LEFT_PX}" y="{top + 5}" width="{end - LEFT_PX:.1f}"'
            f' height="{ROW_PX - 10}" fill="{colour}"/>',
            f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="{INK}" stroke-width="1.5"/>',
            f'<text x="{max(end, high) + 8:.1f}" y="{middle + 4}" stroke="#ffffff"'
            f' stroke-width="4" paint-order="stroke">{bar.value:.1f}</text>',
        ]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
