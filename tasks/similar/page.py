"""Contact sheet as HTML: one file without scripts, with every image veiled until clicked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..pages.captions import SIGNS, visible
from ..pages.environment import environment
from ..pages.thumbnails import Thumbnail
from .contact_sheet import tiles_of
from .result import Similar


def render_similar(similar: Similar, thumbs: Mapping[str, Thumbnail]) -> str:
    """Render the page.

    Args:
        similar: Result of the search.
        thumbs: Thumbnails by `Tile.key`.
    """
    template = environment(Path(__file__).parent).get_template("similar.html.jinja")
    return template.render(
        title=visible(similar.title()),
        about=similar.subtitle(),
        tiles=tiles_of(similar),
        thumbs=thumbs,
        signs=SIGNS,
    )
