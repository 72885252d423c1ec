"""Which images of a lake pictures are made from."""

from __future__ import annotations

import polars as pl

from ..data.errors import ConfigError, InputError, shorten
from ..data.score_key import ScoreKey
from ..data.store.lake import Lake
from ..synth.plan.parent_condition import PARENT_SCHEMA, parse_condition
from ..synth.plan.plan import Parents
from .decide.policy import Band
from .labels import best_labels
from .latest_rows import latest_scores, latest_sightings

Chosen = list[tuple[str, str | None]]
"""Ids and labels."""


def choose_parents(
    lake: Lake,
    parents: Parents,
    *,
    key: ScoreKey,
    band: Band,
    seed: int,
) -> Chosen:
    """At most `asked.n` images that assay did not make itself, with their labels, in a fixed order.

    `real`, `fake` and `any` are drawn by hash, so that the same lake and seed give the same ones;
    `near` takes those whose probability lies nearest to a threshold.

    Raises:
        ConfigError: The condition is no expression on the columns, or cannot be told of an image.
        InputError: Nothing fits, though parents are asked for.
    """
    frame = candidates(lake, key)
    if parents.where is not None:
        condition = parse_condition(parents.where)
        try:
            frame = frame.filter(condition)
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise ConfigError(
                f"where = {shorten(parents.where, 80)!r} cannot be told of these images: "
                f"{shorten(str(error).partition(chr(10))[0], 100)}"
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
            "label them (--label-from parent-folder, a label column, or reviews)"
            if parents.choose in {"real", "fake"}
            else "ingest and score pictures first, or loosen the condition"
        )
        raise InputError(
            f"{lake.uri} has no parents to choose with choose = {parents.choose!r}"
            + (f" and where = {parents.where!r}" if parents.where else "")
            + f"; {hint}"
        )
    return list(chosen.select("image_id", "label").iter_rows())


def candidates(lake: Lake, key: ScoreKey) -> pl.DataFrame:
    """Every image that assay did not make, with what is known of it and its score under a key."""
    images = lake.scan("images").unique("image_id", keep="any")
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
