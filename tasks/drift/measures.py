"""Measures of two populations: scores, embeddings, sizes, formats, compression. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from .bins import Bins, bins_of
from .energy import energy_test
from .two_samples import Array, category_test, ks, psi

MIN_IMAGES: Final = 30
"""Smallest number of images per side of a test."""

MIN_DISTANCE: Final = 0.05
"""Smallest distance that counts as a shift by default, 0 to 1."""

ReadVectors = Callable[[pl.Series], Mapping[str, Array]]
"""Function from image ids to their embeddings, (d,), by id; images without one are left out."""

# Rows of a sample per row of the other side: more would find hardly smaller shifts.
_MAX_RATIO: Final = 5

# Formats that say nothing of a lossy encoder: their bytes follow from the pixels.
_LOSSLESS: Final = ("PNG", "GIF", "BMP", "TIFF", "PPM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measure of two populations, and the test of its shift.

    Attributes:
        name: `score`, `embedding`, `width`, `height`, `format`, `jpeg_quality` or `bits_per_pixel`.
        is_content: Whether the measure is of the images; else of their encoding.
        n_before: Number of images of the first population with a value.
        n_after: Number of images of the second population with a value.
        before: Median, or shares of formats, of the first population; None for embeddings.
        after: The same of the second population.
        distance: Kolmogorov-Smirnov distance; total variation of formats; energy coefficient of
            embeddings. Each is 0 for equal populations and 1 for separate ones.
        psi: Population stability index; None for formats and embeddings.
        p_value: P-value of no shift.
        bins: Counts of values for a chart; None for formats and embeddings.
    """

    name: str
    is_content: bool
    n_before: int
    n_after: int
    before: float | dict[str, float] | None
    after: float | dict[str, float] | None
    distance: float
    psi: float | None
    p_value: float
    bins: Bins | None = None


def bits_per_pixel() -> pl.Expr:
    """Return bits per pixel of lossy files without a JPEG quality, null for others."""
    is_told = pl.col("jpeg_quality").is_null() & ~pl.col("format").is_in(_LOSSLESS)
    bits = 8.0 * pl.col("n_bytes") / (pl.col("width_px").cast(pl.Float64) * pl.col("height_px"))
    return pl.when(is_told).then(bits)


def content_measures(
    before: pl.DataFrame,
    after: pl.DataFrame,
    vectors: tuple[Array, Array],
    *,
    n_draws: int,
    rng: np.random.Generator,
) -> list[Measure]:
    """Return the measures of scores and embeddings.

    Args:
        before: Column logit of the first population.
        after: The same of the second population.
        vectors: Embeddings of a sample of each, (n, d) and (m, d).
        n_draws: Number of permutations.
        rng: Source of the permutations.
    """
    measures = [
        _measure_values("score", before["logit"], after["logit"], is_content=True),
        _measure_vectors(*vectors, n_draws=n_draws, rng=rng),
    ]
    return [measure for measure in measures if measure is not None]


def sampled_vectors(
    pairs: Mapping[str, tuple[pl.DataFrame, pl.DataFrame]],
    read_vectors: ReadVectors,
    *,
    n_rows: int,
    rng: np.random.Generator,
) -> dict[str, tuple[Array, Array]]:
    """Return embeddings of samples of both sides of each pair, all of them read at once.

    Args:
        pairs: Populations before and after by name, each with the column image_id.
        read_vectors: Reader of embeddings.
        n_rows: Largest number of images per side.
        rng: Source of the samples.
    """
    samples = {}
    for name, sides in pairs.items():
        most = min(n_rows, _MAX_RATIO * min(side.height for side in sides))
        samples[name] = [_sample(side["image_id"], most, rng) for side in sides]
    vectors = read_vectors(pl.concat(ids for some in samples.values() for ids in some).unique())

    def stacked(ids: pl.Series) -> Array:
        rows = [vectors[image_id] for image_id in ids if image_id in vectors]
        return np.array(rows, dtype=np.float32)

    return {name: (stacked(before), stacked(after)) for name, (before, after) in samples.items()}


def encoding_measures(
    before: pl.DataFrame, after: pl.DataFrame, *, n_draws: int, rng: np.random.Generator
) -> list[Measure]:
    """Return the measures of sizes, formats and compression.

    Args:
        before: Columns width_px, height_px, n_bytes, format, jpeg_quality of the first population.
        after: The same of the second population.
        n_draws: Number of draws of the test of formats.
        rng: Source of the draws.
    """
    values = {
        "width": pl.col("width_px"),
        "height": pl.col("height_px"),
        "jpeg_quality": pl.col("jpeg_quality"),
        "bits_per_pixel": bits_per_pixel(),
    }
    measures = [
        _measure_values(
            name, *(side.select(v=value)["v"] for side in (before, after)), is_content=False
        )
        for name, value in values.items()
    ]
    measures.insert(2, _measure_formats(before["format"], after["format"], n_draws, rng))
    return [measure for measure in measures if measure is not None]


def _measure_values(
    name: str, before: pl.Series, after: pl.Series, *, is_content: bool
) -> Measure | None:
    sides = [side.drop_nulls().cast(pl.Float64) for side in (before, after)]
    values = [side.filter(side.is_finite()).to_numpy() for side in sides]
    if min(len(side) for side in values) < MIN_IMAGES:
        return None
    distance, p_value = ks(*values)
    return Measure(
        name=name,
        is_content=is_content,
        n_before=len(values[0]),
        n_after=len(values[1]),
        before=float(np.median(values[0])),
        after=float(np.median(values[1])),
        distance=distance,
        psi=psi(*values),
        p_value=p_value,
        bins=bins_of(*values),
    )


def _measure_vectors(
    before: Array, after: Array, *, n_draws: int, rng: np.random.Generator
) -> Measure | None:
    before, after = _finite(before), _finite(after)
    if min(len(before), len(after)) < MIN_IMAGES:
        return None
    found = energy_test(before, after, n_draws=n_draws, rng=rng)
    return Measure(
        name="embedding",
        is_content=True,
        n_before=len(before),
        n_after=len(after),
        before=None,
        after=None,
        distance=found.coefficient,
        psi=None,
        p_value=found.p_value,
    )


def _finite(vectors: Array) -> Array:
    # A reader that finds none has no second axis to tell.
    return vectors[np.isfinite(vectors).all(axis=1)] if len(vectors) else vectors


def _measure_formats(
    before: pl.Series, after: pl.Series, n_draws: int, rng: np.random.Generator
) -> Measure | None:
    names = sorted({*before.unique(), *after.unique()})
    counts = [_counts(side, names) for side in (before, after)]
    n_before, n_after = len(before), len(after)
    if min(n_before, n_after) < MIN_IMAGES:
        return None
    distance, p_value = category_test(counts[0], counts[1], n_draws=n_draws, rng=rng)
    shares: list[Any] = [
        {name: float(n / count.sum()) for name, n in zip(names, count, strict=True)}
        for count in counts
    ]
    return Measure(
        name="format",
        is_content=False,
        n_before=n_before,
        n_after=n_after,
        before=shares[0],
        after=shares[1],
        distance=distance,
        psi=None,
        p_value=p_value,
    )


def _counts(formats: pl.Series, names: list[str]) -> Array:
    counts = dict(formats.value_counts().iter_rows())
    return np.array([counts.get(name, 0) for name in names], dtype=np.int64)


def _sample(ids: pl.Series, n_rows: int, rng: np.random.Generator) -> pl.Series:
    # Sorted, so that the sample depends on the ids alone.
    ids = ids.sort()
    return ids.gather(np.sort(rng.choice(len(ids), min(n_rows, len(ids)), replace=False)))
