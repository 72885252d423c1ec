"""Two populations of a lake: those of two runs, or of two spans of time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import polars as pl

from ...data.errors import InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import ScoreStatus
from ..embeddings.rows import vectors_of
from ..latest_rows import (
    WHOLE,
    Named,
    Part,
    last_judgement,
    latest_of_images,
    latest_scores,
    latest_sightings,
    rows_of_batch,
    source_of,
)
from ..runs.run_record import find_run
from .measures import MIN_IMAGES, ReadVectors

SOURCE: Final = "source"
_FACTS: Final = (
    "width_px",
    "height_px",
    "n_bytes",
    "format",
    "jpeg_quality",
    "ingested_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Populations:
    """Two populations of scored images, with the columns that `compare` names.

    Attributes:
        key: Key of the scores.
        before_name: Name of the first population.
        after_name: Name of the second population.
        before: Images of the first population.
        after: Images of the second population.
        run_id: Id of the run whose images are the second population; None for a span of time.
    """

    key: ScoreKey
    before_name: str
    after_name: str
    before: pl.DataFrame
    after: pl.DataFrame
    run_id: str | None = None


def of_runs(lake: Lake, run_id: str | None = None, against: str | None = None) -> Populations:
    """Return the images that two runs scored; an image belongs to the run that scored it.

    Args:
        lake: Lake of the runs.
        run_id: Id of the later run; None for the last one with enough images.
        against: Id of the earlier run; None for the one before with enough images.

    Raises:
        InputError: There are no such runs, or they scored too few images.
        StoreError: The lake cannot be read.
    """
    key = _key(lake, run_id)
    # Images that assay made are no part of what came in; a run that is named is read whole.
    rows = _scored(lake, key, has_made=run_id is not None or against is not None)
    runs = (
        rows.group_by("run_id")
        .agg(at=pl.col("scored_at").max(), n=pl.len())
        .sort("at", "run_id")
        .select("run_id", "n")
    )
    enough = runs.filter(pl.col("n") >= MIN_IMAGES)["run_id"].to_list()
    if run_id is None:
        run_id = next((one for one in reversed(enough) if one != against), None)
    if against is None:
        earlier = enough[: enough.index(run_id)] if run_id in enough else enough
        against = earlier[-1] if earlier else None
    for one in (against, run_id):
        if one not in enough:
            listed = ", ".join(f"{name} {n:,}" for name, n in runs.iter_rows()) or "none"
            missing = "two runs to compare" if one is None else f"enough images in run {one}"
            raise InputError(
                f"{lake.uri} does not have {missing}; needed: {MIN_IMAGES} images scored by the"
                f" run itself. Images by run: {listed}. Or compare times with --since"
            )
    return Populations(
        key=key,
        before_name=f"run {against}",
        after_name=f"run {run_id}",
        before=rows.filter(pl.col("run_id") == against),
        after=rows.filter(pl.col("run_id") == run_id),
        run_id=run_id,
    )


def of_times(lake: Lake, since: datetime, baseline_since: datetime | None = None) -> Populations:
    """Return the images stored since a time, and those stored before it.

    Args:
        lake: Lake of the images.
        since: Start of the later span, UTC.
        baseline_since: Start of the earlier span, UTC; None for all images before.

    Raises:
        InputError: A span has too few scored images.
        StoreError: The lake cannot be read.
    """
    key = _key(lake, None)
    rows = _scored(lake, key, has_made=False)
    is_later = pl.col("ingested_at") >= since
    earlier = rows.filter(~is_later)
    start = "the start"
    if baseline_since is not None:
        earlier = earlier.filter(pl.col("ingested_at") >= baseline_since)
        start = f"{baseline_since:%Y-%m-%d %H:%M}"
    found = Populations(
        key=key,
        before_name=f"from {start} to {since:%Y-%m-%d %H:%M}",
        after_name=f"since {since:%Y-%m-%d %H:%M}",
        before=earlier,
        after=rows.filter(is_later),
    )
    if min(found.before.height, found.after.height) < MIN_IMAGES:
        raise InputError(
            f"{lake.uri} has {counted(found.before.height, 'scored image')} {found.before_name} and"
            f" {found.after.height:,} {found.after_name}; needed: {MIN_IMAGES} of each"
        )
    return found


def of_run_and_earlier(
    lake: Lake, key: ScoreKey, *, run_id: str, batch_id: str | None
) -> Populations | None:
    """Return the images that a run scored, and those of the same sources scored before it.

    Both have the column `SOURCE`, the folder or archive above the image. The earlier images are
    those of the same batch; without enough of them, those of the same folders and archives. A run
    over the whole lake is compared with all that earlier runs scored.

    Args:
        lake: Lake of the run.
        key: Key of the run's scores.
        run_id: Id of the run.
        batch_id: Batch of the run; None for the whole lake.

    Returns:
        The populations; None if either has too few images.

    Raises:
        StoreError: The lake cannot be read.
    """
    if batch_id is None:
        found = _split(_scored(lake, key, has_made=False), key, run_id)
        return None if found is None else _with_sources(found, latest_sightings(lake))
    batch = _sighted(rows_of_batch(lake, batch_id))
    found = _split(_scored(lake, key, _named(batch)), key, run_id)
    if found is not None:
        return _with_sources(found, latest_of_images(batch))
    sources = batch.select(source_of().unique()).collect().to_series().sort().to_list()
    if not sources:
        return None
    # Of a table that is sorted by address, the rows between them are read alone.
    between = pl.col("source_uri").is_between(pl.lit(sources[0]), pl.lit(f"{sources[-1]}~"))
    below = _sighted(lake.scan("sightings").filter(between & source_of().is_in(sources)))
    found = _split(_scored(lake, key, _named(below)), key, run_id)
    return None if found is None else _with_sources(found, latest_of_images(below))


def _sighted(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return image, address and time of the sightings of images, read once."""
    seen = rows.filter(pl.col("image_id").is_not_null())
    return seen.select("image_id", "source_uri", "seen_at").collect().lazy()


def _with_sources(populations: Populations, sightings: pl.LazyFrame) -> Populations:
    """Return populations with the column `SOURCE`, from one sighting per image."""
    sources = sightings.select("image_id", source_of().alias(SOURCE)).collect()
    return replace(
        populations,
        before=populations.before.join(sources, on="image_id", how="left"),
        after=populations.after.join(sources, on="image_id", how="left"),
    )


def _split(rows: pl.DataFrame, key: ScoreKey, run_id: str) -> Populations | None:
    """Return the rows of a run, and those that others scored before it; None if too few."""
    is_own = pl.col("run_id") == run_id
    after = rows.filter(is_own)
    if after.height < MIN_IMAGES:
        return None
    before = rows.filter(~is_own & (pl.col("scored_at") < after["scored_at"].min()))
    if before.height < MIN_IMAGES:
        return None
    return Populations(
        key=key,
        before_name="earlier runs of the same sources",
        after_name=f"run {run_id}",
        before=before,
        after=after,
        run_id=run_id,
    )


def reader_of_vectors(lake: Lake, key: ScoreKey) -> ReadVectors:
    """Return the reader of embeddings of some images under a key.

    Args:
        lake: Lake of the scores.
        key: Key of the scores.
    """
    return lambda ids: vectors_of(lake, key, ids.to_list())


def _named(sightings: pl.LazyFrame) -> Named:
    return Named(ids=tuple(sightings.select(pl.col("image_id").unique()).collect()["image_id"]))


def _scored(
    lake: Lake, key: ScoreKey, part: Part = WHOLE, *, has_made: bool = True
) -> pl.DataFrame:
    """Return the scored images of a part, with or without those that assay made itself."""
    scores = latest_scores(lake, key, part=part).filter(
        (pl.col("status") == ScoreStatus.SCORED.value) & pl.col("logit").is_not_null()
    )
    facts = part.rows(lake, "images").select("image_id", *_FACTS).unique("image_id", keep="any")
    if not has_made:
        made = part.rows(lake, "synthetics").select("image_id")
        scores = scores.join(made, on="image_id", how="anti")
    return (
        scores.select("image_id", "logit", "run_id", "scored_at")
        .join(facts, on="image_id")
        .collect()
    )


def _key(lake: Lake, run_id: str | None) -> ScoreKey:
    """Return the key of a run, or the last one used."""
    if run_id is not None:
        if (key := find_run(lake, run_id).key) is not None:
            return key
        raise InputError(f"run {run_id} in {lake.uri} scored no image")
    if (judgement := last_judgement(lake)) is not None:
        return judgement.key
    raise InputError(f"{lake.uri} has no scores to compare; run `assay moderate` first")
