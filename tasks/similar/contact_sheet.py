"""Contact sheet: the query and its neighbours as one PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from ...data.text.wording import counted
from ..pages.captions import score_text, short_name, visible
from ..pages.thumbnails import Thumbnail
from .result import Known, Similar

IMAGE_PX: Final = 220
_MAX_COLUMNS: Final = 5
_GAP_PX: Final = 18
_LINE_PX: Final = 19
_N_LINES: Final = 4
_HEADER_PX: Final = 62
_INK: Final = "#1b1f24"
_SOFT: Final = "#59626d"
_PAPER: Final = "#ffffff"
_EMPTY: Final = "#eef1f4"
_ACCENT: Final = "#0b57a4"
# The report's colours; shapes beside them serve colour-blind users.
_COLOURS: Final = {"clear": "#0072b2", "review": "#e69f00", "flag": "#aa3377"}
_QUERY: Final = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """Caption of one image; `key` is the key of its thumbnail."""

    key: str
    heading: str
    score: str
    decision: str | None
    note: str
    image_id: str
    is_query: bool = False


def tiles_of(similar: Similar) -> list[Tile]:
    """Return the captions of the query and of its neighbours, in order."""
    query = similar.query
    tiles = [_tile(query, query.image_id or _QUERY, _QUERY, similar.query_name, is_query=True)]
    for neighbour in similar.neighbours:
        heading = [f"{neighbour.rank}."]
        if neighbour.similarity is not None:
            heading.append(f"cosine {neighbour.similarity:.3f}")
        heading.append(f"{counted(neighbour.hamming_bits, 'bit')} apart")
        known = neighbour.known
        name = short_name(known.source_uri)
        tiles.append(_tile(known, known.image_id or "", "  ".join(heading), name))
    return tiles


def draw_sheet(
    similar: Similar, thumbs: Mapping[str, Thumbnail], *, is_veiled: bool = False
) -> Image.Image:
    """Draw the sheet in RGB; its width follows the number of columns.

    Args:
        similar: Result of the search.
        thumbs: Thumbnails by `Tile.key`; a missing one is drawn as an empty frame.
        is_veiled: Whether each image is drawn as a few blurred squares of light and dark.
    """
    tiles = tiles_of(similar)
    # Three columns or more, since the heading needs the width.
    n_columns = max(3, min(_MAX_COLUMNS, len(tiles)))
    n_rows = -(-len(tiles) // n_columns)
    cell_px = IMAGE_PX + _GAP_PX
    cell_height_px = IMAGE_PX + 6 + _N_LINES * _LINE_PX + _GAP_PX
    sheet = Image.new(
        "RGB", (n_columns * cell_px + _GAP_PX, _HEADER_PX + n_rows * cell_height_px), _PAPER
    )
    draw = ImageDraw.Draw(sheet)
    width_px = sheet.width - 2 * _GAP_PX
    _text(draw, (_GAP_PX, 12), visible(similar.title()), 20, _INK, width_px)
    _text(draw, (_GAP_PX, 38), similar.subtitle(), 13, _SOFT, width_px)
    for number, tile in enumerate(tiles):
        left = _GAP_PX + number % n_columns * cell_px
        top = _HEADER_PX + number // n_columns * cell_height_px
        _picture(sheet, (left, top), thumbs.get(tile.key), is_veiled=is_veiled)
        if tile.is_query:
            frame = (left - 4, top - 4, left + IMAGE_PX + 3, top + IMAGE_PX + 3)
            draw.rectangle(frame, outline=_ACCENT, width=4)
        _caption(draw, (left, top + IMAGE_PX + 6), tile)
    return sheet


def _tile(known: Known, key: str, heading: str, name: str, *, is_query: bool = False) -> Tile:
    note = f"{known.label}: {visible(name)}" if known.label else visible(name)
    return Tile(
        key=key,
        heading=heading,
        score=score_text(known.prob_fake),
        decision=known.decision,
        note=note,
        image_id=known.image_id[:12] if known.image_id else "not in the lake",
        is_query=is_query,
    )


def _picture(
    sheet: Image.Image, at: tuple[int, int], thumb: Thumbnail | None, *, is_veiled: bool
) -> None:
    left, top = at
    box = (left, top, left + IMAGE_PX, top + IMAGE_PX)
    ImageDraw.Draw(sheet).rectangle(box, fill=_EMPTY)
    if thumb is None:
        centre = (left + IMAGE_PX // 2, top + IMAGE_PX // 2)
        ImageDraw.Draw(sheet).text(
            centre, "could not be drawn", _SOFT, ImageFont.load_default(13), anchor="mm"
        )
        return
    picture = _decoded(thumb.veil if is_veiled else thumb.sharp)
    scale = min(IMAGE_PX / thumb.width_px, IMAGE_PX / thumb.height_px)
    if is_veiled or scale < 1:
        size = (max(1, round(thumb.width_px * scale)), max(1, round(thumb.height_px * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    sheet.paste(
        picture,
        (left + (IMAGE_PX - picture.width) // 2, top + (IMAGE_PX - picture.height) // 2),
    )


def _caption(draw: ImageDraw.ImageDraw, at: tuple[int, int], tile: Tile) -> None:
    left, top = at
    _text(draw, (left, top), tile.heading, 15, _ACCENT if tile.is_query else _INK, IMAGE_PX)
    top += _LINE_PX
    _text(draw, (left, top), f"score {tile.score}", 14, _INK, IMAGE_PX)
    if tile.decision is not None:
        _sign(draw, (left + 100, top + 2), tile.decision)
        _text(draw, (left + 118, top), tile.decision, 14, _INK, IMAGE_PX - 118)
    _text(draw, (left, top + _LINE_PX), tile.note, 13, _SOFT, IMAGE_PX)
    _text(draw, (left, top + 2 * _LINE_PX), tile.image_id, 13, _SOFT, IMAGE_PX)


def _sign(draw: ImageDraw.ImageDraw, at: tuple[int, int], decision: str) -> None:
    left, top = at
    size, colour = 12, _COLOURS.get(decision, _SOFT)
    if decision == "clear":
        draw.ellipse((left, top, left + size, top + size), fill=colour)
        return
    half = size // 2
    corners: Sequence[tuple[int, int]] = [(left + half, top), (left + size, top + half)]
    corners = [*corners, (left + half, top + size), (left, top + half)]
    if decision == "flag":
        corners = [(left + half, top), (left + size, top + size), (left, top + size)]
    draw.polygon(corners, fill=colour)


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size_px: int,
    colour: str,
    width_px: int,
) -> None:
    """Draw one line; a line too wide is shortened in its middle, since both ends identify it."""
    font = ImageFont.load_default(size_px)
    kept = len(text)
    shown = text
    while kept > 4 and draw.textlength(shown, font) > width_px:
        kept -= 1
        shown = f"{text[: kept // 2]}...{text[-(kept - kept // 2) :]}"
    draw.text(at, shown, colour, font)


def _decoded(address: str) -> Image.Image:
    encoded = base64.b64decode(address.partition(",")[2])
    return Image.open(io.BytesIO(encoded)).convert("RGB")
