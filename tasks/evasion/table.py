"""Who gets past the detector: made pictures by method, strength and condition, with intervals.

A picture evades when its score lies below the policy's review threshold. What its own metadata
declares is left out: whoever wants to pass strips that first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl

from ...data.errors import shorten
from ...data.images.decode import UPRIGHT
from ...data.schema import Label
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...synth.job import Job
from ...synth.methods.registry import method_of
from ..decide.policy import Policy
from ..latest_rows import latest_scores
from ..made_images import made_of

N_RESAMPLES: Final = 2000
_MAX_NAME: Final = 72
# How well a picture shows its prompt, and the share of the text asked for that can be read.
MEASURED: Final = ("clip_cosine", "text_readable_share")


def evasion_rows(
    lake: Lake,
    *,
    jobs: Sequence[Job],
    key: ScoreKey,
    policy: Policy,
) -> pl.DataFrame:
    """Return a row per job whose picture is made: its setting, its score, its parent's score.

    Columns: block, method, setting, image_id, parent_id, label, logit, prob_fake, parent_logit,
    parent_prob, evades, is_flagged, license_flags, clip_cosine, text_readable_share. Scores are
    null where there is none, the last two where the plan did not ask. A parent that lies on its
    side for the detector, while its child was made upright, has none to compare with.
    """
    made = made_of(lake, jobs)
    scores = latest_scores(lake, key).select("image_id", "logit", "prob_fake").collect()
    band, _ = policy.band(key.detector)
    # float32, as scores are stored: else a score stored as 0.65 lies below 0.65.
    review_at, flag_at = (float(np.float32(edge)) for edge in (band.review_at, band.flag_at))
    settings = [setting_of(*row) for row in made.select("method", "params").iter_rows()]
    return (
        made.with_columns(
            setting=pl.Series(told_apart(made["block"].to_list(), settings), dtype=pl.String)
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
            pl.when(_seen_alike(key)).then("parent_logit").alias("parent_logit"),
            pl.when(_seen_alike(key)).then("parent_prob").alias("parent_prob"),
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


def _seen_alike(key: ScoreKey) -> pl.Expr:
    """Return whether the detector saw a picture's parent the same way up as the picture."""
    if UPRIGHT.name.partition("@")[0] in key.profile:
        return pl.lit(value=True)
    return pl.col("params").str.json_path_match("$.turned_from").is_null()


def _measured(name: str) -> pl.Expr:
    """Return a number that was measured on the picture when it was made."""
    return pl.col("params").str.json_path_match(f"$.{name}").cast(pl.Float64)


def told_apart(blocks: Sequence[str], settings: Sequence[Sequence[str]]) -> list[str]:
    """Return each row's setting in words, without what all rows of its block share."""
    common: dict[str, set[str]] = {}
    for block, words in zip(blocks, settings, strict=True):
        common[block] = common.get(block, set(words)) & set(words)
    out = []
    for block, words in zip(blocks, settings, strict=True):
        own = [word for word in words if word not in common[block]]
        out.append(", ".join(own or words) or "as it is")
    return out


def setting_of(method: str, params: str) -> list[str]:
    """Return a job's settings as its method names them, a few words per setting."""
    settings = json.loads(params).get("settings", {})
    return method_of(method).words(settings)


def evasion_table(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each block, setting and label: how many pass, with 95 % intervals.

    Columns: block, method, setting, label, pictures, scored, evades, share, low, high (Wilson),
    flagged, logit (mean), logit_change (mean against the parents), change_low, change_high
    (bootstrap over parents; null without parents), clip_cosine and text_readable_share (means of
    the pictures on which they were measured, else null).
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
    """Return Wilson's 95 % score interval for k of n (Wilson 1927); (0, 1) for none."""
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
    """Return the table as text, one line per setting; fakes first, since they are the question."""
    rows: Sequence[Mapping[str, Any]] = sorted(
        table.iter_rows(named=True), key=lambda row: row["label"] != Label.FAKE.value
    )
    names = [
        f"{row['block']}: {row['setting']}"
        + ("" if row["label"] == Label.FAKE.value else f" [{row['label']}]")
        for row in rows
    ]
    width = min(max(map(len, names), default=0), _MAX_NAME)
    lines = [f"{'':{width}} pictures   below review (95 %)    flagged   logit change"]
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
    """Return what was measured of prompts and text, one line per setting, if anything was."""
    lines = []
    for row in rows:
        means = []
        if row["clip_cosine"] is not None:
            means.append(f"CLIP cosine to the prompt {row['clip_cosine']:.3f}")
        if row["text_readable_share"] is not None:
            means.append(f"{row['text_readable_share']:.0%} of the text asked for can be read")
        if means:
            lines.append(f"{row['block']}: {row['setting']}: {', '.join(means)} (means)")
    return ["", *lines] if lines else []
