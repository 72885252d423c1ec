"""The data files of a published dataset, with image bytes streamed from the lake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from ....data.errors import InputError
from ....data.machine import n_cores
from ....data.store.lake import Lake
from ...labels import CLASSES
from ...shortcuts.aligned import ENCODING, SIDE_PX, aligned
from ...work.ordered_map import ordered_map
from ..embeddings import with_embeddings
from ..pinned import Pinned
from ..rows import UNLABELLED, read_rows
from .formats import Format, new_file

# The Hub's viewer and `datasets` recommend row groups below 100 MB.
MAX_GROUP_BYTES: Final = 32 * 2**20
MAX_GROUP_ROWS: Final = 1000


@dataclass(slots=True)
class Tally:
    """Counts over the published rows.

    Attributes:
        labels: Number of images per label.
        evidence: Number of images per kind of evidence.
        generators: Number of synthetic images per generator.
        license_flags: Licence flags of the synthetic images.
        n_conflicts: Number of images with a `label_note`.
    """

    labels: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    generators: Counter[str] = field(default_factory=Counter)
    license_flags: set[str] = field(default_factory=set)
    n_conflicts: int = 0

    def add(self, rows: pl.DataFrame) -> None:
        """Add the counts of rows of `read_rows`."""
        names = dict(enumerate(CLASSES)) | {UNLABELLED: "unlabelled"}
        self.labels.update(names[label] for label in rows["label"])
        self.evidence.update(evidence or "none" for evidence in rows["label_evidence"])
        made = rows.filter("is_synthetic")
        self.generators.update(generator or "none" for generator in made["synthetic_generator"])
        self.license_flags.update(made["synthetic_license_flags"].explode().drop_nulls())
        self.n_conflicts += rows["label_note"].count()


def write_file(
    lake: Lake,
    pinned: Pinned,
    file: Path,
    part: pl.DataFrame,
    tally: Tally,
    *,
    align: bool,
    format: Format,  # noqa: A002 - the name of the command's flag
    embedding_size: int | None = None,
) -> None:
    """Write one data file; 32 MiB of encoded images are in memory at a time.

    Args:
        lake: Lake of the images.
        pinned: Table versions, score key and policy of the dataset.
        file: File to write.
        part: Columns image_id, group_id, phash and split of the images.
        tally: Counts to which the rows are added.
        align: Whether to encode all images alike.
        format: Format of the dataset.
        embedding_size: Number of values per embedding; None for a dataset without embeddings.

    Raises:
        InputError: An image cannot be decoded to be encoded alike.
        StoreError: The lake cannot be read.
        OSError: The file cannot be written.
    """
    rows = read_rows(lake, pinned, part["image_id"])
    # Images of older versions were grouped by a new hash, which is not the one in the table.
    own = part.select("image_id", "group_id", "phash", "split")
    rows = rows.drop("phash").join(own, on="image_id")
    tally.add(rows)
    if align:
        rows = _as_aligned(rows)
    if embedding_size is not None:
        rows = with_embeddings(lake, pinned, rows, embedding_size)
    with new_file(file, format, embedding_size) as written:
        stored = lake.images(part["image_id"].to_list(), version=pinned.versions["images"])
        for raw_by_id in _portions(_aligned_images(stored) if align else stored):
            ids = pl.DataFrame({"image_id": list(raw_by_id)})
            some = ids.join(rows, on="image_id", how="left", maintain_order="left")
            written.write(raw_by_id, some)


def _as_aligned(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows with the facts of images that are encoded alike."""
    side_px = pl.lit(SIDE_PX, dtype=pl.Int32)
    return rows.with_columns(
        width_px=side_px,
        height_px=side_px,
        format=pl.lit("JPEG"),
        encoding=pl.lit(ENCODING),
        path=pl.col("image_id").str.head(16) + ".jpg",
    )


def _aligned_images(stored: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield images encoded alike, in order, by one thread per core."""
    n_workers = n_cores()
    with ThreadPoolExecutor(n_workers, "assay-align") as pool:
        encoded = ordered_map(
            pool, lambda one: (one[0], aligned(one[1])), stored, n_ahead=4 * n_workers
        )
        for image_id, raw in encoded:
            if raw is None:
                raise InputError(
                    f"image {image_id} cannot be decoded, and so not be encoded like the others;"
                    " leave it out with --where, or publish without --align-encoding"
                )
            yield image_id, raw


def _portions(images: Iterator[tuple[str, bytes]]) -> Iterator[dict[str, bytes]]:
    portion: dict[str, bytes] = {}
    n_bytes = 0
    for image_id, raw in images:
        if portion and (n_bytes + len(raw) > MAX_GROUP_BYTES or len(portion) >= MAX_GROUP_ROWS):
            yield portion
            portion, n_bytes = {}, 0
        portion[image_id] = raw
        n_bytes += len(raw)
    if portion:
        yield portion
