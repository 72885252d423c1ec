"""Choice of the parents: images of the lake that synthesis starts from."""

from __future__ import annotations

import polars as pl

from ...data.errors import ConfigError, InputError, shorten
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...synth.plan.parent_condition import PARENT_SCHEMA, parse_condition
from ...synth.plan.plan import Parents
from ..decide.policy import Band
from ..labels import best_labels
from ..latest_rows import latest_scores, latest_sightings
from ..review.answers import settle

Chosen = list[tuple[str, str | None]]
"""Pairs of image_id and label."""


def choose_parents(
    lake: Lake,
    parents: Parents,
    *,
    key: ScoreKey,
    band: Band,
    seed: int,
) -> Chosen:
    """Return at most `parents.n` images that assay did not make, in a fixed order.

    `real`, `fake` and `any` choose by a seeded hash of the image_id, so that the same lake and
    seed give the same images. `near` chooses the images with the scores nearest to a threshold.

    Args:
        lake: Lake of the images.
        parents: Number, kind and condition of the parents.
        key: Key of the scores.
        band: Thresholds for `near`.
        seed: Seed of the choice.

    Returns:
        Pairs of image_id and label.

    Raises:
        ConfigError: The condition is no expression on the columns, or cannot be evaluated.
        InputError: No image fits, although the plan asks for parents.
    """
    frame = candidates(lake, key)
    if parents.where is not None:
        condition = parse_condition(parents.where)
        try:
            frame = frame.filter(condition)
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise ConfigError(
                f"where = {shorten(parents.where, 80)!r} cannot be evaluated: "
                f"{shorten(str(error).partition(chr(10))[0], 100)}; correct the condition"
            ) from error
    if parents.choose in {"real", "fake"}:
        frame = frame.filter(pl.col("label") == parents.choose)
    if parents.choose == "near":
        distance = pl.min_horizontal(
            (pl.col("prob_fake") - edge).abs() for edge in (band.review_at, band.flag_at)
        )
        frame = frame.filter(pl.col("prob_fake").is_not_null()).sort(distance, "image_id")
    else:
        frame = frame.sort(pl.col("image_id").hash(seed=seed), "image_id")
    chosen = frame.head(parents.n)
    if parents.n and chosen.is_empty():
        hint = (
            "label images first (--label-from parent-folder, a label column, or reviews)"
            if parents.choose in {"real", "fake"}
            else "ingest and score images first, or loosen the condition"
        )
        raise InputError(
            f"{lake.uri} has no parents for choose = {parents.choose!r}"
            + (f" and where = {parents.where!r}" if parents.where else "")
            + f"; {hint}"
        )
    return list(chosen.select("image_id", "label").iter_rows())


def candidates(lake: Lake, key: ScoreKey) -> pl.DataFrame:
    """Return every image that assay did not make, with its facts, its label and its score.

    Args:
        lake: Lake of the images.
        key: Key of the scores.

    Returns:
        The columns of `PARENT_SCHEMA`.
    """
    images = lake.scan("images").unique("image_id", keep="any")
    settle(lake)
    labels = best_labels(lake.scan("reviews"), lake.scan("synthetics"), lake.scan("sightings"))
    scores = latest_scores(lake, key)
    seen = latest_sightings(lake)
    return (
        images.join(lake.scan("synthetics").select("image_id"), on="image_id", how="anti")
        .join(labels.select("image_id", "label"), on="image_id", how="left")
        .join(scores.select("image_id", "prob_fake", "logit"), on="image_id", how="left")
        .join(seen.select("image_id", "domain", "source_uri"), on="image_id", how="left")
        .select(PARENT_SCHEMA.names())
        .collect()
    )
