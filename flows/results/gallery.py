"""Images of a run as a cell of less than 300 kB: blurred thumbnails with score and decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError
from ...data.sql_condition import parse_condition
from ...data.store.lake import Lake
from ...data.text.wording import counted, did_you_mean
from ...data.vocabulary import Decision
from ...tasks.pages.captions import SIGNS, score_text, short_name
from ...tasks.pages.environment import environment
from ...tasks.pages.thumbnails import Thumbnail, thumbnails

MAX_IMAGES: Final = 60
# Longest side by number of images. Noise, which compresses worst, takes 11, 6 and 3 kB as a URL.
_SIDES_PX: Final = ((20, 128), (40, 112), (MAX_IMAGES, 96))
# In base64 they take a third more; veils, names and styles take the rest of 300 kB.
_BYTES_OF_ALL: Final = 150_000
_MAX_BYTES: Final = 6_000
_NAME_CHARS: Final = 120


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Images of a run, the first of which a cell shows.

    Attributes:
        lake: Folder of the lake, or its s3:// prefix.
        rows: One row per image, in the order shown: image_id, source_uri, prob_fake, decision, and
            a `note` on each if there is that column.
        title: Heading of the cell.
        note: Text beside the heading.
        n: Largest number of images in the cell.
    """

    lake: str
    rows: pl.DataFrame
    title: str
    note: str = ""
    n: int = 24

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return (
            f"<Gallery {self.title}: {min(self.n, len(self)):,} of {counted(len(self), 'image')}>"
        )

    def to_polars(self) -> pl.DataFrame:
        """Return the rows of all its images."""
        return self.rows

    def _repr_html_(self) -> str:
        shown = self.rows.head(self.n)
        small = small_images(Lake(self.lake, create=False), shown["image_id"].to_list())
        template = environment(Path(__file__).parent).get_template("gallery.html.jinja")
        return template.render(
            title=self.title,
            note=self.note or f"{len(shown):,} of {counted(len(self), 'image')}",
            signs=SIGNS,
            images=[tile(row, small) for row in shown.iter_rows(named=True)],
        )


def small_images(lake: Lake, image_ids: Sequence[str]) -> dict[str, Thumbnail]:
    """Return thumbnails of at most 60 images that together fit into a cell of 300 kB.

    Args:
        lake: Lake of the images.
        image_ids: Ids of the images.
    """
    n = max(1, len(image_ids))
    max_px = next(side_px for most, side_px in _SIDES_PX if n <= most)
    max_bytes = min(_MAX_BYTES, _BYTES_OF_ALL // n)
    return thumbnails(lake, image_ids, max_px=max_px, max_bytes=max_bytes)


def tile(row: Mapping[str, Any], thumbs: Mapping[str, Thumbnail]) -> dict[str, Any]:
    """Return what a template shows of an image.

    Args:
        row: Row with image_id, source_uri, prob_fake and decision.
        thumbs: Thumbnails by image_id.
    """
    return {
        "name": short_name(row["source_uri"])[:_NAME_CHARS],
        "score": score_text(row["prob_fake"]),
        "decision": row["decision"],
        "note": row.get("note"),
        "thumb": thumbs.get(row["image_id"]),
    }


def chosen_rows(rows: pl.DataFrame, condition: str | pl.Expr | None) -> pl.DataFrame:
    """Return the rows of images that a condition takes, each image once, the highest score first.

    Args:
        rows: Rows of `item_rows.item_rows`.
        condition: Decision, condition in SQL, or expression on the columns; None for all images.

    Raises:
        ConfigError: The condition is neither a decision nor SQL on the columns.
    """
    images = rows.filter(pl.col("image_id").is_not_null())
    if condition is not None:
        images = images.filter(_expression(condition, images.schema))
    return images.unique("image_id", keep="first", maintain_order=True).sort(
        "prob_fake", "row", descending=[True, False], nulls_last=True
    )


def _expression(condition: str | pl.Expr, schema: pl.Schema) -> pl.Expr:
    if isinstance(condition, pl.Expr):
        return condition
    words = [decision.value for decision in Decision]
    if condition in words:
        return pl.col("decision") == condition
    plain = pl.Schema({key: kind for key, kind in schema.items() if not kind.is_nested()})
    if condition.isidentifier():
        raise ConfigError(
            f"filter is {condition[:80]!r}; allowed: {', '.join(words)}, a condition in SQL such as"
            f' "prob_fake > 0.9", or an expression of polars{did_you_mean(condition, words)}'
        )
    return parse_condition(condition, plain)
