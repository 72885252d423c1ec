"""Comparison of a query's embedding with the lake's: with every one, or through the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ...data.errors import InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..command_line import score_again
from ..embeddings.neighbours import Vectors, cosine_similarities, smallest
from ..embeddings.rows import embedded, embedding_batches, vectors_of
from .index import open_index
from .query_embedding import embed_image
from .result import Query, Search

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Result of comparing embeddings.

    Attributes:
        similarity: Cosines by image id, of the nearest and of other requested images.
        near: Nearest images: columns image_id and similarity, nearest first.
        search: Method of the comparison; None where no search was made.
        prob_fake: Probability of a query that is not stored; None otherwise.
        precision: Precision of the pass of a query that is not stored; None otherwise.
    """

    similarity: dict[str, float]
    near: pl.DataFrame = field(default_factory=pl.DataFrame)
    search: Search | None = None
    prob_fake: float | None = None
    precision: str | None = None


def nearest_by_embedding(
    lake: Lake,
    key: ScoreKey,
    query: Query,
    *,
    detector: str | None,
    n: int,
    also: Sequence[str],
    use_index: bool,
    on_rows: OnRows | None,
) -> Found:
    """Find the nearest `n` images, and the similarities of these and of others.

    Args:
        lake: Lake of the embeddings.
        key: Score key of the embeddings.
        query: Image to compare with.
        detector: Name or folder of the detector; None: the key's own.
        n: Number of neighbours.
        also: Ids of other images whose similarities are returned.
        use_index: Whether to search through the index, not every row.
        on_rows: Function that receives the number of rows compared or indexed since its last call.

    Raises:
        InputError: The query is stored and has no embedding, or the lake has none.
        ModelError: The query is not stored, and its detector cannot be loaded.
        StoreError: The index cannot be written.
        UnreadableImage: The query cannot be decoded.
    """
    vector = prob_fake = precision = None
    if query.raw is not None:
        made = embed_image(query.raw, key, detector)
        vector, prob_fake, precision = made.vector, made.prob_fake, made.precision
    own_id = query.image_id or ""
    # n + 1, since a stored query finds itself.
    if use_index:
        index = open_index(lake, key, on_rows=on_rows)
        if vector is None:
            vector = _there(index.vectors([own_id]).get(own_id), lake, key, query)
        near = index.search(vector, n + 1)
        more = index.similarities(vector, also)
        at, measured = index.recall.for_k(n)
        search = Search(
            method="approximate",
            n_images=len(index) - (query.image_id is not None),
            recall_at=at,
            recall=measured,
            n_queries=index.recall.n_queries,
            n_images_measured=index.recall.n_rows,
        )
    else:
        if vector is None:
            vector = _there(vectors_of(lake, key, [own_id]).get(own_id), lake, key, query)
        everything = compare_with_all(lake, key, vector, on_rows)
        near = everything[smallest(-everything["similarity"].to_numpy(), n + 1)]
        more = dict(everything.filter(pl.col("image_id").is_in(list(also))).iter_rows())
        search = Search(method="exact", n_images=everything.height - (query.image_id is not None))
    near = near.filter(pl.col("image_id") != own_id).head(n)
    return Found(
        similarity=more | dict(near.iter_rows()),
        near=near,
        search=search,
        prob_fake=prob_fake,
        precision=precision,
    )


def compare_with_all(
    lake: Lake, key: ScoreKey, vector: Vectors, on_rows: OnRows | None = None
) -> pl.DataFrame:
    """Compare a vector with every embedding; return image_id and similarity, sorted by id."""
    parts = []
    for ids, vectors in embedding_batches(embedded(lake, key)):
        cosines = cosine_similarities(vector, vectors)
        parts.append(pl.DataFrame({"image_id": ids, "similarity": cosines}))
        if on_rows is not None:
            on_rows(len(ids))
    # Two concurrent runs may have scored the same image.
    compared = pl.concat(parts).sort("image_id", maintain_order=True)
    return compared.unique("image_id", keep="first", maintain_order=True)


def similarities_to_stored(
    lake: Lake, key: ScoreKey | None, query: Query, ids: Sequence[str]
) -> dict[str, float]:
    """Return the cosines of a stored query with images; images without embedding are left out."""
    if key is None or query.image_id is None:
        return {}
    vectors = vectors_of(lake, key, [query.image_id, *ids])
    mine = vectors.pop(query.image_id, None)
    if mine is None or not vectors:
        return {}
    cosines = cosine_similarities(mine, np.stack(list(vectors.values())))
    return dict(zip(vectors, cosines.tolist(), strict=True))


def _there(vector: Vectors | None, lake: Lake, key: ScoreKey, query: Query) -> Vectors:
    if vector is not None:
        return vector
    raise InputError(
        f"image {query.name} has no embedding by {key.detector} ({key.precision}): scoring failed"
        f" or has not run; compare by perceptual hash alone (--by phash), or run:"
        f" {score_again(lake.uri, key.detector, key.precision)}"
    )
