"""The contact sheet as HTML: one file, no scripts, every picture veiled until it is clicked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..pages.captions import SIGNS, visible
from ..pages.environment import environment
from ..pages.thumbnails import Thumbnail
from .contact_sheet import tiles_of
from .result import Similar


def render_similar(similar: Similar, thumbs: Mapping[str, Thumbnail]) -> str:
    """Render the whole page; `thumbs` are small pictures by `Tile.key`."""
    template = environment(Path(__file__).parent).get_template("similar.html.jinja")
    return template.render(
        title=visible(similar.title()),
        about=similar.subtitle(),
        tiles=tiles_of(similar),
        thumbs=thumbs,
        signs=SIGNS,
    )
