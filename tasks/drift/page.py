"""The page of a drift report: per group its verdict, and a chart per measure."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..pages.environment import environment
from ..pages.write import write_page
from .charts import bins_svg
from .report import DriftReport, value_text

TITLES: Final = {
    "score": "Score (logit)",
    "embedding": "Embedding",
    "width": "Width, px",
    "height": "Height, px",
    "format": "Format",
    "jpeg_quality": "JPEG quality",
    "bits_per_pixel": "Bits per pixel",
}


def write_drift(report: DriftReport, out: Path) -> str:
    """Write the page of a drift report and return its path.

    Args:
        report: Comparisons of two populations.
        out: File to write.

    Raises:
        StoreError: The file cannot be written.
    """
    page = (
        environment(Path(__file__).parent)
        .get_template("drift.html.jinja")
        .render(report=report, titles=TITLES, chart=bins_svg, text_of=value_text)
    )
    return write_page(out, page.encode())
