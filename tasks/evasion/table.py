"""Evasion rates of made images by block, setting and label, with 95 % intervals.

An image evades if its score lies below the policy's review threshold. Declarations in its own
metadata are disregarded, since an adversary removes them first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from ...data.errors import shorten
from ...data.images.decode import UPRIGHT
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Label
from ...synth.job import Job
from ...synth.methods.registry import method_of
from ..decide.policy import Policy
from ..latest_rows import latest_scores
from ..synthesis.made_images import made_of

N_RESAMPLES: Final = 2000
_MAX_NAME: Final = 72
# Cosine of the CLIP embeddings of image and prompt, and the readable share of the requested text.
MEASURED: Final = ("clip_cosine", "text_readable_share")


def evasion_rows(
    lake: Lake,
    *,
    jobs: Sequence[Job],
    key: ScoreKey,
    policy: Policy,
) -> pl.DataFrame:
    """Return one row per finished job: its setting, its score and the score of its parent.

    Args:
        lake: Lake of the images.
        jobs: Jobs of a plan.
        key: Key of the scores.
        policy: Policy with the thresholds of review and flag.

    Returns:
        Columns block, method, setting, image_id, parent_id, label, logit, prob_fake,
        parent_logit, parent_prob, evades, is_flagged, license_flags, clip_cosine,
        text_readable_share. Scores are null for images without one, the last two where the plan
        did not measure them. Scores of a parent are null too if the detector saw the parent in
        another orientation than the image.

    Raises:
        StoreError: The lake cannot be read.
    """
    made = made_of(lake, jobs)
    scores = latest_scores(lake, key).select("image_id", "logit", "prob_fake").collect()
    band, _ = policy.band(key.detector)
    # Scores are stored as float32, in which 0.65 is less than the float64 threshold 0.65.
    review_at, flag_at = (float(np.float32(edge)) for edge in (band.review_at, band.flag_at))
    settings = [setting_of(*row) for row in made.select("method", "params").iter_rows()]
    return (
        made.with_columns(
            setting=pl.Series(distinct_settings(made["block"].to_list(), settings), dtype=pl.String)
        )
        .join(scores, on="image_id", how="left")
        .join(
            scores.rename(
                {"image_id": "parent_id", "logit": "parent_logit", "prob_fake": "parent_prob"}
            ),
            on="parent_id",
            how="left",
        )
        .with_columns(
            pl.when(seen_alike(key)).then("parent_logit").alias("parent_logit"),
            pl.when(seen_alike(key)).then("parent_prob").alias("parent_prob"),
        )
        .with_columns(
            evades=pl.col("prob_fake") < review_at,
            is_flagged=pl.col("prob_fake") >= flag_at,
            **{name: _measured(name) for name in MEASURED},
        )
        .select(
            "block",
            "method",
            "setting",
            "image_id",
            "parent_id",
            "label",
            "logit",
            "prob_fake",
            "parent_logit",
            "parent_prob",
            "evades",
            "is_flagged",
            "license_flags",
            *MEASURED,
        )
    )


def seen_alike(key: ScoreKey) -> pl.Expr:
    """Return whether the detector saw an image and its parent in the same orientation."""
    if UPRIGHT.name.partition("@")[0] in key.profile:
        return pl.lit(value=True)
    return pl.col("params").str.json_path_match("$.turned_from").is_null()


def _measured(name: str) -> pl.Expr:
    """Return a number that was measured when the image was made; null if it was not."""
    return pl.col("params").str.json_path_match(f"$.{name}").cast(pl.Float64)


def distinct_settings(blocks: Sequence[str], settings: Sequence[Sequence[str]]) -> list[str]:
    """Return the text of each row's setting, without the words that all rows of its block share.

    Args:
        blocks: Name of the block per row.
        settings: Words of the setting per row; see `setting_of`.
    """
    common: dict[str, set[str]] = {}
    for block, words in zip(blocks, settings, strict=True):
        common[block] = common.get(block, set(words)) & set(words)
    out = []
    for block, words in zip(blocks, settings, strict=True):
        own = [word for word in words if word not in common[block]]
        out.append(", ".join(own or words) or "default settings")
    return out


def setting_of(method: str, params: str) -> list[str]:
    """Return the words with which a method names the settings of a job, one text per setting.

    Args:
        method: Name of the method.
        params: Parameters of the image, a JSON object with the settings.
    """
    settings = json.loads(params).get("settings", {})
    return method_of(method).words(settings)


def evasion_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return evasion counts, shares and intervals: one row per block, setting and label.

    Args:
        rows: Rows of `evasion_rows`.

    Returns:
        Columns block, method, setting, label; pictures, scored, evades and flagged (numbers of
        images); share, low, high (share of scored images that evade, in [0, 1], with its 95 %
        Wilson interval); logit (mean); logit_change, change_low, change_high (mean difference to
        the parents with its 95 % percentile bootstrap interval over `N_RESAMPLES` resamples; null
        without parents); clip_cosine and text_readable_share (means over the images on which they
        were measured, else null).

    Source: Wilson 1927 (see `wilson`); Efron and Tibshirani 1993, "An Introduction to the
        Bootstrap", ch. 13, for the percentile interval.
    """
    out: list[dict[str, Any]] = []
    groups = rows.group_by("block", "method", "setting", "label", maintain_order=True)
    for (block, method, setting, label), group in groups:
        scored = group.filter(pl.col("prob_fake").is_not_null())
        n, passing = len(scored), int(scored["evades"].sum() or 0)
        low, high = wilson(passing, n)
        change = (scored["logit"] - scored["parent_logit"]).drop_nulls().to_numpy()
        out.append(
            {
                "block": block,
                "method": method,
                "setting": setting,
                "label": label,
                "pictures": len(group),
                "scored": n,
                "evades": passing,
                "share": passing / n if n else None,
                "low": low if n else None,
                "high": high if n else None,
                "flagged": int(scored["is_flagged"].sum() or 0),
                "logit": scored["logit"].mean(),
                **_mean_change(change),
                **{name: group[name].mean() for name in MEASURED},
            }
        )
    return pl.DataFrame(out, schema=_SCHEMA)


_SCHEMA: Final = {
    "block": pl.String,
    "method": pl.String,
    "setting": pl.String,
    "label": pl.String,
    "pictures": pl.Int64,
    "scored": pl.Int64,
    "evades": pl.Int64,
    "share": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "flagged": pl.Int64,
    "logit": pl.Float64,
    "logit_change": pl.Float64,
    "change_low": pl.Float64,
    "change_high": pl.Float64,
    **dict.fromkeys(MEASURED, pl.Float64),
}


def wilson(k: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share.

    Args:
        k: Number of successes, 0 to n.
        n: Number of trials.

    Returns:
        Lower and upper bound in [0, 1]; (0, 1) for no trials.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    low, high = binomtest(k, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(low), float(high)


def _mean_change(change: np.ndarray) -> dict[str, float | None]:
    if len(change) == 0:
        return {"logit_change": None, "change_low": None, "change_high": None}
    picks = np.random.default_rng(0).integers(0, len(change), (N_RESAMPLES, len(change)))
    low, high = np.percentile(change[picks].mean(axis=1), [2.5, 97.5])
    return {
        "logit_change": float(change.mean()),
        "change_low": float(low),
        "change_high": float(high),
    }


def table_text(table: pl.DataFrame) -> str:
    """Return the table as text, one line per setting, AI-generated images first.

    Args:
        table: Table of `evasion_table`.
    """
    rows: Sequence[Mapping[str, Any]] = sorted(
        table.iter_rows(named=True), key=lambda row: row["label"] != Label.FAKE.value
    )
    names = [
        f"{row['block']}: {row['setting']}"
        + ("" if row["label"] == Label.FAKE.value else f" [{row['label']}]")
        for row in rows
    ]
    width = min(max(map(len, names), default=0), _MAX_NAME)
    lines = [f"{'':{width}}   images   below review (95 %)    flagged   logit change"]
    for row, name in zip(rows, names, strict=True):
        share = "not scored"
        if row["share"] is not None:
            share = f"{row['share']:4.0%} ({row['low']:.0%} to {row['high']:.0%})"
        change = "" if row["logit_change"] is None else f"{row['logit_change']:+.2f}"
        lines.append(
            f"{shorten(name, _MAX_NAME):{width}} {row['pictures']:8,}   {share:22} "
            f"{row['flagged']:7,}   {change:>12}"
        )
    return "\n".join(lines + measured_lines(rows))


def measured_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the means of `MEASURED`, one line per setting, after an empty line; [] if none."""
    lines = []
    for row in rows:
        means = []
        if row["clip_cosine"] is not None:
            means.append(f"CLIP cosine to the prompt {row['clip_cosine']:.3f}")
        if row["text_readable_share"] is not None:
            means.append(f"{row['text_readable_share']:.0%} of the requested text is readable")
        if means:
            lines.append(f"{row['block']}: {row['setting']}: {', '.join(means)} (means)")
    return ["", *lines] if lines else []
