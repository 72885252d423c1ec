"""Images similar to one, as a gallery with the similarity under each."""

from __future__ import annotations

from typing import Literal

import polars as pl

from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...tasks.similar.result import Neighbour
from ...tasks.similar.search import find_similar, stored_query
from .gallery import Gallery


def similar_gallery(
    lake: Lake,
    image_id: str,
    *,
    k: int,
    by: Literal["embedding", "phash", "both"],
    detector: str | None,
) -> Gallery:
    """Return the stored images most similar to one, the most similar first.

    Args:
        lake: Lake to look in.
        image_id: Id of the image.
        k: Number of neighbours.
        by: Measure of similarity.
        detector: Detector of the embeddings; None for the one that scored last.

    Raises:
        ConfigError: `k` is out of range.
        InputError: The lake has no such image, or no embeddings.
    """
    found = find_similar(lake, stored_query(lake, image_id), k=k, by=by, detector=detector)
    rows = pl.DataFrame(
        [one.to_json() | {"note": _words(one)} for one in found.neighbours],
        schema={
            "rank": pl.UInt32,
            "similarity": pl.Float32,
            "hamming_bits": pl.UInt8,
            "image_id": pl.String,
            "prob_fake": pl.Float32,
            "decision": pl.String,
            "label": pl.String,
            "source_uri": pl.String,
            "note": pl.String,
        },
    )
    return Gallery(lake.uri, rows, found.title(), found.subtitle(), n=min(k, 60))


def _words(neighbour: Neighbour) -> str:
    bits = counted(neighbour.hamming_bits, "bit")
    return bits if neighbour.similarity is None else f"cosine {neighbour.similarity:.3f}, {bits}"
