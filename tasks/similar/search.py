"""Search for the stored images most similar to one: by embedding, by perceptual hash, or by both.

Embeddings are the detector's own: images are close when they have the same traces for the
detector, which often but not always means the same subject. A perceptual hash finds copies.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.commands import command
from ...data.errors import ConfigError, InputError, UnreadableImage
from ...data.images.inspect_image import hash_anew, inspect_image
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.store.lookup import numbers_by_files, rows_at
from ..copies.near_duplicates import parse_hashes
from ..embeddings.neighbours import competition_ranks, fuse_ranks, hamming_distances, smallest
from ..embeddings.rows import count_embedded, latest_embedded
from ..labels import best_labels
from ..lake.fit import require_fit
from ..latest_rows import Named, latest_decisions, latest_scores
from .embedding_search import Found, OnRows, nearest_by_embedding, similarities_to_stored
from .result import By, Known, Neighbour, Query, Similar

# Below this number a query is compared with every row: 50,000 rows of 384 numbers are 77 MB.
EXACT_BELOW: Final = 50_000
MOST_NEIGHBOURS: Final = 1_000_000
# For `both`: hashes of unrelated images differ in 32 bits on average, with a standard deviation of
# 4, and in 12 or fewer once in four million pairs. Above that, a rank by hash is noise and must not
# enter the fusion.
MAX_TELLING_BITS: Final = 12


def stored_query(lake: Lake, image_id: str) -> Query:
    """Return the query for an image of the lake.

    Raises:
        InputError: The lake has no such image.
    """
    mine = lake.rows_of("images", [image_id]).select("phash").head(1)
    hashes = mine.collect()["phash"]
    if hashes.is_empty():
        raise InputError(f"{lake.uri} has no image {image_id}; assay ls lists its images")
    return Query(name=image_id[:12], image_id=image_id, phash=str(hashes[0]))


def image_query(lake: Lake, raw: bytes, name: str) -> Query:
    """Return the query for an image's bytes; where the lake has the same bytes, that image.

    Args:
        lake: Lake to look in.
        raw: Encoded bytes of the image.
        name: Name of the image for display.

    Raises:
        UnreadableImage: The bytes are no usable image.
    """
    facts = inspect_image(raw)
    mine = lake.rows_of("images", [facts.image_id])
    if not mine.select("image_id").head(1).collect().is_empty():
        return Query(name=name, image_id=facts.image_id, phash=facts.phash)
    return Query(name=name, raw=raw, phash=facts.phash)


def find_similar(
    lake: Lake,
    query: Query,
    *,
    by: By = "both",
    k: int = 12,
    detector: str | None = None,
    exact: bool = False,
    exact_below: int = EXACT_BELOW,
    on_rows: OnRows | None = None,
) -> Similar:
    """Find the `k` stored images most similar to the query, which is never among them.

    `both` fuses two rankings by reciprocal rank fusion: the nearest 2k + 60 by embedding, and all
    images whose hashes differ in at most 12 bits (see `neighbours.fuse_ranks`).

    Args:
        lake: Lake to look in.
        query: Query from `stored_query` or `image_query`.
        by: Measure of similarity: `embedding`, `phash` or `both`.
        k: Number of neighbours; a lake with fewer images returns all.
        detector: Detector of the embeddings: name, id as in the tables or folder of a checkpoint;
            default: the one that scored last.
        exact: Whether to compare with every embedding, whatever their number.
        exact_below: Number of embeddings from which the index is used.
        on_rows: Function that receives the number of embeddings compared or indexed since its
            last call.

    Raises:
        ConfigError: `k` is out of range, or the detector has no scores in this lake.
        InputError: The lake has no images or no embeddings, or the query has none.
        ModelError: The image is not stored, and the detector cannot be loaded.
        StoreError: The lake cannot be read, or the index cannot be written.
    """
    if not 1 <= k <= MOST_NEIGHBOURS:
        raise ConfigError(f"k = {k}; allowed: 1 to {MOST_NEIGHBOURS:,} neighbours")
    hashes = _hashes_of(lake, query)
    by_hash = _by_hash(lake, query, hashes, k)
    key = _key(lake, detector, by)
    if by == "phash" or key is None:
        ids = by_hash["image_id"].head(k).to_list()
        result = Found(similarity=similarities_to_stored(lake, key, query, ids))
    else:
        copies = by_hash.filter(pl.col("bits") <= MAX_TELLING_BITS)
        result = nearest_by_embedding(
            lake,
            key,
            query,
            detector=detector,
            n=k if by == "embedding" else 2 * k + 60,
            also=copies["image_id"].to_list() if by == "both" else [],
            use_index=not exact and count_embedded(lake, key) >= exact_below,
            on_rows=on_rows,
        )
        ids = result.near["image_id"].to_list()
        if by == "both":
            ids = list(fuse_ranks([_ranks(result.near, "similarity"), _ranks(copies, "bits")]))
        ids = ids[:k]
    n_images = lake.n_rows("images")
    known = _known(lake, key, [*ids, *filter(None, [query.image_id])])
    bits = _bits_of(lake, hashes, ids)
    unstored = Known(image_id=None, prob_fake=result.prob_fake)
    return Similar(
        query=known.get(query.image_id or "", unstored),
        query_name=query.name,
        query_precision=result.precision,
        by=by,
        k=k,
        key=key,
        search=result.search,
        n_hashes=0 if by == "embedding" else n_images - (query.image_id is not None),
        neighbours=tuple(
            Neighbour(
                rank=rank,
                similarity=result.similarity.get(image_id),
                hamming_bits=bits[image_id],
                known=known[image_id],
            )
            for rank, image_id in enumerate(ids, start=1)
        ),
    )


def _by_hash(lake: Lake, query: Query, hashes: Sequence[int], k: int) -> pl.DataFrame:
    """Return image_id and differing bits of the nearest other images, fewest bits first, then id.

    Of most rows only the hash is looked at; the others are read of those as near as the nearest
    `k`, or near enough to tell a copy.

    Args:
        lake: Lake of the images.
        query: Image to compare with.
        hashes: Hashes of the query by `_hashes_of`.
        k: Number of images needed; more may be returned.
    """
    version = lake.version("images")
    stored = [
        (files, rows, [hamming_distances(one, numbers).astype(np.uint8) for one in hashes])
        for files, numbers, rows in numbers_by_files(lake.tables, "images", "phash", version)
    ]
    if not stored:
        require_fit(lake, None)
        run = command("moderate", "SOURCE", lake=lake.uri)
        raise InputError(f"{lake.uri} has no images; run: {run}")
    # Two concurrent runs may have stored the same image, so that an image has two rows. No image
    # is farther than its hash from the first of the query's.
    first = np.concatenate([bits[0] for _, _, bits in stored])
    at_most = max(MAX_TELLING_BITS, int(first[smallest(first, 2 * k + 2)].max()))
    parts = []
    for files, rows, bits in stored:
        near = np.flatnonzero(np.minimum.reduce(bits) <= at_most)
        there = lake.tables.rows_in("images", files, version)
        columns = there.select("image_id", "phash", "phash_of")
        at = near.astype(np.uint64) if rows is None else rows[near]
        parts.append(rows_at(columns, at))
    others = pl.concat(parts).unique("image_id")
    others = others.filter(pl.col("image_id").ne_missing(query.image_id))
    return others.select("image_id", bits=pl.Series(_bits(others, hashes))).sort("bits", "image_id")


def _bits_of(lake: Lake, hashes: Sequence[int], image_ids: Sequence[str]) -> dict[str, int]:
    """Return the differing bits of some images."""
    mine = lake.rows_of("images", image_ids).select("image_id", "phash", "phash_of")
    rows = mine.unique("image_id").collect()
    return dict(zip(rows["image_id"], _bits(rows, hashes).tolist(), strict=True))


def _bits(rows: pl.DataFrame, hashes: Sequence[int]) -> NDArray[np.int64]:
    """Return the bits in which the hash of each row differs from the query's."""
    parsed = parse_hashes(rows["phash"])
    bits = hamming_distances(hashes[0], parsed)
    if len(hashes) > 1:
        other = np.minimum(bits, hamming_distances(hashes[1], parsed))
        bits = np.where(rows["phash_of"].is_null(), other, bits)
    return bits


def _hashes_of(lake: Lake, query: Query) -> list[int]:
    """Return the query's hashes of upright pixels and, where the lake has such, of stored pixels.

    Older rows have hashes of the stored, unrotated pixels; both are compared with those.
    """
    if lake.tables.may_have_nulls("images", "phash_of"):
        raw = query.raw if query.raw is not None else lake.image(query.image_id or "")
        with contextlib.suppress(UnreadableImage):
            return [int(phash, 16) for phash in hash_anew(raw)]
    return [int(query.phash, 16)]


def _key(lake: Lake, detector: str | None, by: By) -> ScoreKey | None:
    """Return the key of embeddings and scores; None for hashes in a lake without scores."""
    try:
        return latest_embedded(lake, detector)
    except InputError:
        if by == "phash":
            return None
        raise


def _ranks(rows: pl.DataFrame, column: str) -> dict[str, int]:
    return dict(zip(rows["image_id"], competition_ranks(rows[column].to_list()), strict=True))


def _known(lake: Lake, key: ScoreKey | None, image_ids: Sequence[str]) -> dict[str, Known]:
    wanted = pl.LazyFrame({"image_id": list(image_ids)}, schema={"image_id": pl.String})
    part = Named(ids=tuple(image_ids))
    # Sightings are not sorted by image, so they are read once.
    seen = part.rows(lake, "sightings").sort("seen_at", maintain_order=True).collect().lazy()
    labels = best_labels(part.rows(lake, "reviews"), part.rows(lake, "synthetics"), seen)
    last = seen.unique("image_id", keep="last").select("image_id", "source_uri")
    frame = wanted.join(last, on="image_id", how="left")
    frame = frame.join(labels.select("image_id", "label"), on="image_id", how="left")
    if key is not None:
        for rows, column in (
            (latest_scores(lake, key, part=part), "prob_fake"),
            (latest_decisions(lake, key, part=part), "decision"),
        ):
            frame = frame.join(rows.select("image_id", column), on="image_id", how="left")
    return {row["image_id"]: Known(**row) for row in frame.collect().iter_rows(named=True)}
