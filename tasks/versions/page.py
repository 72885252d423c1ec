"""The page of the differences between two datasets: counts, settings, and veiled images."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ..pages.captions import SIGNS
from ..pages.environment import environment
from ..pages.thumbnails import Thumbnail, thumbnail
from ..pages.write import write_page
from .compare import Difference, Kind
from .draw import WORDS, value_text
from .published import Published

N_EXAMPLES: Final = 12
"""Images per change that a page shows unless another number is requested."""
_MAX_PX: Final = 160
_MAX_BYTES: Final = 6_000


def write_difference(a: Published, b: Published, found: Difference, out: Path) -> str:
    """Write the page of differences and return its path.

    Args:
        a: The earlier dataset.
        b: The later dataset.
        found: Differences between them, with the images to show as examples.
        out: File to write.

    Raises:
        InputError: A data file cannot be read.
        StoreError: The page cannot be written.
    """
    removed, others = _examples(found, is_removed=True), _examples(found, is_removed=False)
    page = (
        environment(Path(__file__).parent)
        .get_template("difference.html.jinja")
        .render(
            found=found,
            kinds=list(Kind),
            words=WORDS,
            thumbs=_thumbnails(a, removed) | _thumbnails(b, others),
            signs=SIGNS,
            value_text=value_text,
        )
    )
    return write_page(out, page.encode())


def _examples(found: Difference, *, is_removed: bool) -> set[str]:
    moves = (move for move in found.moves if (move.kind is Kind.REMOVED) == is_removed)
    return {image_id for move in moves for image_id in move.examples}


def _thumbnails(dataset: Published, image_ids: set[str]) -> dict[str, Thumbnail]:
    made = {
        image_id: thumbnail(raw, max_px=_MAX_PX, max_bytes=_MAX_BYTES)
        for image_id, raw in dataset.images(image_ids)
    }
    return {image_id: small for image_id, small in made.items() if small is not None}
