"""Comparing a query's embedding with the lake's: with every one, or through the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ...data.errors import InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..command_line import score_again
from .embeddings import embedded, embedding_batches, vectors_of
from .index import open_index
from .neighbours import Vectors, cosine_similarities, smallest
from .query_embedding import embed_picture
from .result import Query, Search

OnRows = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What comparing embeddings gave; `near` has image_id and similarity, nearest first."""

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
    """Return the nearest `n`, and the similarities of those and of more."""
    vector = prob_fake = precision = None
    if query.raw is not None:
        made = embed_picture(query.raw, key, detector)
        vector, prob_fake, precision = made.vector, made.prob_fake, made.precision
    own_id = query.image_id or ""
    # One more is asked for, since a stored query finds itself.
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
    """Return image_id and similarity of every image with an embedding, sorted by id."""
    parts = []
    for ids, vectors in embedding_batches(embedded(lake, key)):
        cosines = cosine_similarities(vector, vectors)
        parts.append(pl.DataFrame({"image_id": ids, "similarity": cosines}))
        if on_rows is not None:
            on_rows(len(ids))
    # Two writers may have scored one image.
    compared = pl.concat(parts).sort("image_id", maintain_order=True)
    return compared.unique("image_id", keep="first", maintain_order=True)


def similarities_to_stored(
    lake: Lake, key: ScoreKey | None, query: Query, ids: Sequence[str]
) -> dict[str, float]:
    """Return cosines of a stored query with some images; those without embeddings are missing."""
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
        f"image {query.name} has no embedding by {key.detector} ({key.precision}): it failed"
        f" or was not scored yet; compare by perceptual hash alone (--by phash), or run:"
        f" {score_again(lake.uri, key.detector, key.precision)}"
    )
