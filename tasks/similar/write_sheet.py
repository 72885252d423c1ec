"""Writing of the contact sheet as PNG or HTML, atomically."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ...data.user_paths import require_output
from ..pages.thumbnails import thumbnail, thumbnails
from ..pages.write import write_page
from .contact_sheet import IMAGE_PX, draw_sheet, tiles_of
from .page import render_similar
from .result import Query, Similar

_MAX_BYTES: Final = 60_000
SUFFIXES: Final = (".png", ".html", ".htm")


def check_sheet(out: Path) -> None:
    """Refuse a path that no sheet can be written to.

    Raises:
        ConfigError: The path is a folder, or ends in neither .png nor .html.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"{out} ends in {out.suffix or 'nothing'}; allowed: .png, .html")
    require_output(out)


def write_sheet(
    lake: Lake, query: Query, similar: Similar, out: Path, *, is_veiled: bool = False
) -> str:
    """Write the sheet as PNG or HTML, by the file's suffix, and return its address.

    Args:
        lake: Lake of the images.
        query: Query of the search.
        similar: Result of the search.
        out: Path of the file, which is replaced if it exists.
        is_veiled: Whether the images of a PNG are veiled; those of a page always are, until
            clicked.

    Raises:
        ConfigError: The path ends in neither .png nor .html.
        StoreError: The file cannot be written.
    """
    check_sheet(out)
    tiles = tiles_of(similar)
    stored = [tile.key for tile in tiles if query.raw is None or not tile.is_query]
    thumbs = thumbnails(lake, stored, max_px=IMAGE_PX, max_bytes=_MAX_BYTES)
    own = None if query.raw is None else thumbnail(query.raw, max_px=IMAGE_PX, max_bytes=_MAX_BYTES)
    if own is not None:
        thumbs[tiles[0].key] = own
    if out.suffix.lower() == ".png":
        raw = io.BytesIO()
        draw_sheet(similar, thumbs, is_veiled=is_veiled).save(raw, "PNG", optimize=True)
        sheet = raw.getvalue()
    else:
        sheet = render_similar(similar, thumbs).encode("utf-8", "replace")
    return write_page(out, sheet)
