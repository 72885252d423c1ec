"""Loss curve of a training as an SVG: the loss of each step and its running mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...data.text.wording import counted

WIDTH_PX, HEIGHT_PX, LEFT_PX, BOTTOM_PX, TOP_PX = 720, 320, 62, 40, 34


def draw_losses(losses: Sequence[float], path: Path, *, title: str) -> None:
    """Write the loss curve as an SVG file; nothing for fewer than two steps.

    Args:
        losses: Loss of each step.
        path: File to write.
        title: Title of the figure.

    Raises:
        OSError: The file cannot be written.
    """
    if len(losses) < 2:
        return
    window = max(len(losses) // 30, 1)
    mean = [
        sum(losses[max(i - window + 1, 0) : i + 1]) / (i - max(i - window + 1, 0) + 1)
        for i in range(len(losses))
    ]
    low, high = min(losses), sorted(losses)[int(0.99 * (len(losses) - 1))]
    span = (high - low) or 1.0
    plot_px, tall_px = WIDTH_PX - LEFT_PX - 16, HEIGHT_PX - TOP_PX - BOTTOM_PX

    def points(values: Sequence[float]) -> str:
        # More points than pixels only make the file larger.
        every = max(len(values) // plot_px, 1)
        return " ".join(
            f"{LEFT_PX + plot_px * i / (len(values) - 1):.1f},"
            f"{TOP_PX + tall_px * (1 - min(max((values[i] - low) / span, 0), 1)):.1f}"
            for i in range(0, len(values), every)
        )

    base = HEIGHT_PX - BOTTOM_PX
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{HEIGHT_PX}" '
        'font-family="system-ui, sans-serif" font-size="13">'
        f'<rect width="100%" height="100%" fill="#fff"/><text x="{LEFT_PX}" y="20">{title}</text>'
        f'<polyline points="{points(losses)}" fill="none" stroke="#cfd6dd"/>'
        f'<polyline points="{points(mean)}" fill="none" stroke="#aa3377" stroke-width="2"/>'
        f'<path d="M{LEFT_PX} {TOP_PX}V{base}H{WIDTH_PX - 16}" fill="none" stroke="#59626d"/>'
        f'<text x="{LEFT_PX - 8}" y="{TOP_PX + 6}" text-anchor="end">{high:.3g}</text>'
        f'<text x="{LEFT_PX - 8}" y="{base}" text-anchor="end">{low:.3g}</text>'
        f'<text x="{LEFT_PX}" y="{base + 20}">1</text>'
        f'<text x="{WIDTH_PX - 16}" y="{base + 20}" text-anchor="end">'
        f"{counted(len(losses), 'step')}</text>"
        "</svg>\n",
        encoding="utf-8",
    )
