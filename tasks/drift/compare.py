"""The verdict on two populations: other images, other encoders, both, or neither. Pure functions.

Detectors react to compression, so that scores and embeddings also shift where the same images are
encoded otherwise. If both have shifted, images that are encoded alike are compared alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from ...data.vocabulary import Explained
from .measures import (
    MIN_DISTANCE,
    Measure,
    ReadVectors,
    bits_per_pixel,
    content_measures,
    encoding_measures,
    sampled_vectors,
)
from .two_samples import holm

ALPHA: Final = 0.01
MIN_ALIKE: Final = 100
"""Smallest number of images per side that are encoded alike, to tell images from encoders."""

_ROWS: Final = 1000
_ROWS_OF_A_GROUP: Final = 500
_MIN_DRAWS: Final = 999


class Drift(Explained):
    """What has shifted between two populations."""

    NONE = "none", "no shift found"
    IMAGES = "other_images", "other images: scores or embeddings have shifted, encodings have not"
    ENCODERS = (
        "other_encoders",
        "other encoders: files are encoded otherwise, and nothing else has shifted",
    )
    ENCODERS_ALONE = (
        "other_encoders_shift_scores",
        "other encoders: scores or embeddings have shifted with them, but not those of images"
        " encoded alike",
    )
    BOTH = (
        "other_images_and_encoders",
        "other images and other encoders: images encoded alike have shifted too",
    )
    UNCLEAR = (
        "other_encoders_images_unclear",
        "other encoders; whether the images differ too cannot be said, since too few are encoded"
        " alike",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two populations compared.

    Attributes:
        drift: Verdict.
        measures: All measures.
        shifted: Names of the measures that have shifted.
        n_before: Number of images of the first population.
        n_after: Number of images of the second population.
        n_alike: Number of images per side that are encoded alike; None if that did not matter.
    """

    drift: Drift
    measures: tuple[Measure, ...]
    shifted: tuple[str, ...]
    n_before: int
    n_after: int
    n_alike: int | None = None


def compare(
    pairs: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]],
    read_vectors: ReadVectors,
    *,
    alpha: float = ALPHA,
    limit: float = MIN_DISTANCE,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare the two populations of each pair.

    If no population has changed, any verdict but `none` comes with a probability of at most
    `alpha`, over all tests of all pairs (Holm 1979).

    Args:
        pairs: Populations before and after by name, each with the columns image_id, logit,
            width_px, height_px, n_bytes, format and jpeg_quality, the last nullable.
        read_vectors: Reader of embeddings.
        alpha: Probability of a false alarm, in (0, 1).
        limit: Smallest distance of a measure that counts as a shift, 0 to 1.
        seed: Seed of samples and permutations.
    """
    rng = np.random.default_rng(seed)
    n_rows = _ROWS if len(pairs) == 1 else _ROWS_OF_A_GROUP
    # Each pair has at most seven tests; fewer draws could never pass the first step of Holm's.
    n_draws = max(_MIN_DRAWS, math.ceil(7 * len(pairs) / alpha))
    vectors = sampled_vectors(pairs, read_vectors, n_rows=n_rows, rng=rng)
    measures = {
        name: (
            *content_measures(*pair, vectors[name], n_draws=n_draws, rng=rng),
            *encoding_measures(*pair, n_draws=n_draws, rng=rng),
        )
        for name, pair in pairs.items()
    }
    tests = [(name, measure) for name, some in measures.items() for measure in some]
    rejected = holm([measure.p_value for _, measure in tests], alpha)
    shifted = {
        (name, measure.name)
        for (name, measure), is_rejected in zip(tests, rejected, strict=True)
        if is_rejected and measure.distance >= limit
    }
    found = {}
    for name, (before, after) in pairs.items():
        moved = tuple(one for one in measures[name] if (name, one.name) in shifted)
        is_content = any(one.is_content for one in moved)
        is_encoding = any(not one.is_content for one in moved)
        n_alike = None
        if is_content and is_encoding:
            alike = alike_encoded(before, after, rng)
            n_alike = alike[0].height
            drift = _among_alike(
                alike, read_vectors, alpha=alpha, limit=limit, n_rows=n_rows, rng=rng
            )
        else:
            drift = Drift.IMAGES if is_content else Drift.ENCODERS if is_encoding else Drift.NONE
        found[name] = Comparison(
            drift=drift,
            measures=measures[name],
            shifted=tuple(one.name for one in moved),
            n_before=before.height,
            n_after=after.height,
            n_alike=n_alike,
        )
    return found


def _among_alike(
    alike: tuple[pl.DataFrame, pl.DataFrame],
    read_vectors: ReadVectors,
    *,
    alpha: float,
    limit: float,
    n_rows: int,
    rng: np.random.Generator,
) -> Drift:
    """Return the verdict where both content and encodings have shifted."""
    if alike[0].height < MIN_ALIKE:
        return Drift.UNCLEAR
    n_draws = max(_MIN_DRAWS, math.ceil(2 / alpha))
    vectors = sampled_vectors({"": alike}, read_vectors, n_rows=n_rows, rng=rng)[""]
    measures = content_measures(*alike, vectors, n_draws=n_draws, rng=rng)
    rejected = holm([measure.p_value for measure in measures], alpha)
    is_shifted = any(
        is_rejected and measure.distance >= limit
        for measure, is_rejected in zip(measures, rejected, strict=True)
    )
    return Drift.BOTH if is_shifted else Drift.ENCODERS_ALONE


def alike_encoded(
    before: pl.DataFrame, after: pl.DataFrame, rng: np.random.Generator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return as many images of both sides of each encoding, drawn at random.

    Encodings are alike with the same format, JPEG qualities in the same band of 5, and width,
    height and bits per pixel within a factor of the square root of 2.

    Args:
        before: Images of the first population.
        after: Images of the second population.
        rng: Source of the draws.
    """
    half_octaves = [
        (2 * value.cast(pl.Float64).log(2)).floor().alias(name)
        for name, value in (
            ("_width", pl.col("width_px")),
            ("_height", pl.col("height_px")),
            ("_bits", bits_per_pixel()),
        )
    ]
    stratum = ["format", "_quality", "_width", "_height", "_bits"]
    sides = [
        side.sort("image_id")[rng.permutation(side.height)]
        .with_columns(*half_octaves, _quality=pl.col("jpeg_quality") // 5)
        .with_columns(_rank=pl.int_range(pl.len()).over(stratum))
        for side in (before, after)
    ]
    counts = [side.group_by(stratum).len() for side in sides]
    least = (
        counts[0]
        .join(counts[1], on=stratum, nulls_equal=True)
        .select(*stratum, _least=pl.min_horizontal("len", "len_right"))
    )
    kept = [
        side.join(least, on=stratum, nulls_equal=True)
        .filter(pl.col("_rank") < pl.col("_least"))
        .select(before.columns)
        for side in sides
    ]
    return kept[0], kept[1]
