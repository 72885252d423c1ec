"""Labelled images with their scores: the rows that a calibration is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Label
from ..copies.near_duplicates import group_near_duplicates
from ..decide.embedding_domain import MAX_IMAGES
from ..embeddings.neighbours import Vectors
from ..embeddings.rows import vectors_of
from ..labels import best_labels
from ..latest_rows import latest_scores, latest_sightings


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Labelled images, one per group of copies and class.

    Attributes:
        rows: Columns image_id, logit (float32, finite), domain (or null), is_fake.
        n_images: Number of labelled images with a score, copies included.
        n_disputed: Number of images whose labels contradict each other; left out.
        n_unscored: Number of labelled images without a finite logit under the key; left out.
        vectors: Embeddings, each (D,), by image_id: of each domain and class those of the lowest
            ids, at most `MAX_IMAGES`; empty for detectors without embeddings.
    """

    rows: pl.DataFrame
    n_images: int
    n_disputed: int
    n_unscored: int
    vectors: Mapping[str, Vectors] = field(default_factory=dict)

    def vectors_in(self, rows: pl.DataFrame) -> Vectors:
        """Return the embeddings of some rows in order of their ids, shape (N, D); N may be 0."""
        ids = rows["image_id"].sort().to_list()
        found = [self.vectors[image_id] for image_id in ids if image_id in self.vectors]
        return np.stack(found) if found else np.empty((0, 0), np.float32)


def read_labelled(lake: Lake, key: ScoreKey, *, domains: tuple[str, ...] = ()) -> Labelled:
    """Read the labelled images of a lake, with their logits under a key.

    Bounds need exchangeable images, which copies are not: of a group of near-duplicates, one image
    of each class is kept, that of the lowest id. Ids are hashes, so the choice knows no score.

    Args:
        lake: Lake of the images.
        key: Key of the scores.
        domains: Domains of the images; empty for all.

    Raises:
        StoreError: The lake cannot be read.
    """
    labels = (
        best_labels(lake.scan("reviews"), lake.scan("synthetics"), lake.scan("sightings"))
        .select("image_id", "label", is_disputed=pl.col("label").is_null())
        .collect()
    )
    # Ten thousand labelled images of a million are looked up; their columns are read alone.
    named = labels.lazy()
    images = (
        lake.scan("images")
        .select("image_id", "phash", "ingested_at")
        .join(named, on="image_id", how="semi")
        .unique("image_id", keep="any")
    )
    scores = latest_scores(lake, key).select("image_id", "logit")
    places = latest_sightings(lake).select("image_id", "domain")
    rows = (
        images.join(named, on="image_id", how="inner")
        .join(scores, on="image_id", how="left")
        .join(places, on="image_id", how="left")
        .collect()
    )
    if domains:
        rows = rows.filter(pl.col("domain").is_in(domains))
    is_scored = pl.col("logit").is_finite().fill_null(value=False)
    # A laundered photo is neither what a camera wrote nor AI-generated.
    is_class = pl.col("label").is_in([Label.REAL.value, Label.FAKE.value])
    usable = rows.filter(is_scored & is_class)
    no_lineage = pl.DataFrame(schema={"image_id": pl.String, "parent_id": pl.String})
    groups = group_near_duplicates(usable.select("image_id", "phash", "ingested_at"), no_lineage)
    kept = (
        usable.with_columns(groups["group_id"], is_fake=pl.col("label") == Label.FAKE.value)
        .sort("image_id")
        .unique(["group_id", "is_fake"], keep="first", maintain_order=True)
        .select("image_id", pl.col("logit").cast(pl.Float32), "domain", "is_fake")
    )
    compared = kept.filter(pl.int_range(pl.len()).over("domain", "is_fake") < MAX_IMAGES)
    return Labelled(
        rows=kept,
        vectors=vectors_of(lake, key, compared["image_id"].to_list()),
        n_images=usable.height,
        n_disputed=int(rows["is_disputed"].sum()),
        n_unscored=rows.filter(~is_scored & ~pl.col("is_disputed")).height,
    )
