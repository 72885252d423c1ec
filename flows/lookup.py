"""One image of a lake: its bytes, its scores, and all that is known of it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ..data.errors import InputError, UnreadableImage
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..data.text.wording import counted
from ..tasks.browse.find_image import find_image, local_file, read_file
from ..tasks.latest_rows import Named, keyed_decisions, latest_scores

if TYPE_CHECKING:
    from ..tasks.detector.inputs.profiles import Profile
    from ..tasks.detector.weights.checkpoint import Checkpoint
    from ..tasks.similar.result import Query

# Tables about an image in the order of the lists, each with the time of its rows.
_WHEN = {
    "sightings": "seen_at",
    "scores": "scored_at",
    "views": "scored_at",
    "deliveries": "scored_at",
    "measures": "measured_at",
    "decisions": "decided_at",
    "reviews": "reviewed_at",
    "golden": "set_at",
    "appeals": "at",
    "synthetics": "created_at",
}


def image_bytes(image: str, lake: Lake | None) -> tuple[str, bytes]:
    """Return id and bytes of an image: of a file where no lake is given, else of the lake.

    Raises:
        InputError: The file cannot be read, or no image or several match.
    """
    if lake is not None:
        image_id = find_image(lake, image)
        return image_id, lake.image(image_id)
    raw = read_file(local_file(image) or Path(image))
    return hashlib.sha256(raw).hexdigest(), raw


def find_query(lake: Lake, image: str) -> Query:
    """Return the file of that name if there is one, else the stored image of that name.

    Raises:
        InputError: There is neither, or the file cannot be read or compared.
    """
    from ..tasks.similar.search import image_query, stored_query

    file = local_file(image)
    if file is None:
        return stored_query(lake, find_image(lake, image))
    try:
        return image_query(lake, read_file(file), file.name)
    except UnreadableImage as error:
        raise InputError(f"{image} cannot be compared: {error}") from error


def stored_logit(
    lake: Lake, image_id: str, detector: Checkpoint, profile: Profile
) -> tuple[float, str] | None:
    """Return the logit of an image under a detector and profile, and its precision.

    That in fp32 where there is one, else that of the precision which scored last.
    """
    mine = lake.rows_of("scores", [image_id]).filter(
        (pl.col("detector") == detector.detector_id)
        & (pl.col("weights_sha256") == detector.weights_sha256)
        & (pl.col("profile") == profile.describe())
    )
    known = mine.select("precision", "scored_at", *ScoreKey.columns()[:-1]).sort(
        pl.col("precision") == "fp32", "scored_at", descending=True
    )
    for row in known.collect().iter_rows(named=True):
        key = ScoreKey(**{name: row[name] for name in ScoreKey.columns()})
        found = latest_scores(lake, key, part=Named(ids=(image_id,)))
        logit = found.select("logit").collect()["logit"]
        if logit.count():
            return float(logit[0]), key.precision
    return None


def describe_image(lake: Lake, image: str) -> dict[str, Any]:
    """Return all rows about one image: its facts, and a list of rows for each other table.

    Embeddings are given as their length and first values, since nobody reads 384 numbers.

    Args:
        lake: Lake of the tables.
        image: Name of the image, as `find_image` takes it.
    """
    image_id = find_image(lake, image)
    mine = Named(ids=(image_id,))
    known: dict[str, Any] = {
        "image": mine.rows(lake, "images").head(1).collect().row(0, named=True)
    }
    for table, time in _WHEN.items():
        is_keyed = table == "decisions"
        frame = keyed_decisions(lake, part=mine) if is_keyed else mine.rows(lake, table)
        rows = frame.sort(time).collect().to_dicts()
        for row in rows:
            if row.get("embedding"):
                values = row["embedding"]
                row["embedding"] = f"{counted(len(values), 'value')}, " + ", ".join(
                    f"{value:.3f}" for value in values[:4]
                )
        known[table] = rows
    return known


def draw_image(known: dict[str, Any]) -> str:
    """Return the same for a person: a heading per table, a line per value that is there."""
    image = known["image"]
    lines = [f"image {image['image_id']}"]
    lines += _lines(image, leave_out={"image_id"})
    for table in _WHEN:
        rows = known[table]
        lines.append(f"\n{table} ({len(rows)})" if rows else f"\n{table}: none")
        for number, row in enumerate(rows):
            if number:
                lines.append("  --")
            lines += _lines(row, leave_out={"image_id"})
    return "\n".join(lines)


def _lines(row: dict[str, Any], *, leave_out: set[str]) -> list[str]:
    return [
        f"  {name:<15} {_text(value)}"
        for name, value in row.items()
        if value is not None and name not in leave_out
    ]


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    # Names of files and cameras come from strangers: keep their control characters off terminals.
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)
    )
