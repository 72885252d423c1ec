"""The evasion report of a plan as one HTML file: shares that evade, and pairs to compare.

The page has no scripts and makes no requests. Each image is blurred until a reader opens it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Label
from ...synth.generators.presets import notices
from ..decide.policy import Policy
from ..pages.environment import environment
from ..pages.thumbnails import Thumbnail, thumbnails
from .table import evasion_table

PAIRS_PER_SETTING: Final = 3
MAX_PAIRS: Final = 48
THUMBNAIL_PX: Final = 224
THUMBNAIL_BYTES: Final = 14_000


def write_evasion(
    lake: Lake, rows: pl.DataFrame, *, run_id: str, key: ScoreKey, policy: Policy
) -> str:
    """Write the evasion report to `reports/<run_id>-evasion.html` in the lake.

    Args:
        lake: Lake of the images.
        rows: Rows of `evasion_rows`.
        run_id: Id of the run.
        key: Key of the scores.
        policy: Policy whose review threshold decides what evades.

    Returns:
        Address of the file.

    Raises:
        StoreError: The file cannot be written.
    """
    pairs = chosen_pairs(rows)
    ids = [pair[name] for pair in pairs for name in ("image_id", "parent_id") if pair[name]]
    thumbs = thumbnails(lake, ids, max_px=THUMBNAIL_PX, max_bytes=THUMBNAIL_BYTES)
    page = render_evasion(
        evasion_table(rows),
        pairs,
        thumbs,
        key=key,
        policy=policy,
        run_id=run_id,
        notices=notices(rows["license_flags"].explode().drop_nulls()),
    )
    name = f"reports/{run_id}-evasion.html"
    return lake.write(name, page.encode("utf-8", "replace"))


def chosen_pairs(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows to show: the lowest logits of each setting, AI-generated images first.

    Args:
        rows: Rows of `evasion_rows`.
    """
    shown = (
        rows.filter(pl.col("logit").is_not_null())
        .sort("logit", "image_id")
        .group_by("block", "setting", "label", maintain_order=True)
        .head(PAIRS_PER_SETTING)
        .sort(
            pl.col("label") != Label.FAKE.value,
            "block",
            "setting",
            "logit",
            maintain_order=True,
        )
    )
    return list(shown.head(MAX_PAIRS).iter_rows(named=True))


def render_evasion(
    table: pl.DataFrame,
    pairs: Sequence[Mapping[str, Any]],
    thumbs: Mapping[str, Thumbnail],
    *,
    key: ScoreKey,
    policy: Policy,
    run_id: str,
    notices: Sequence[str] = (),
) -> str:
    """Return the page as HTML.

    Args:
        table: Table of `evasion_table`.
        pairs: Rows of `chosen_pairs`.
        thumbs: Thumbnails by image_id.
        key: Key of the scores.
        policy: Policy with the review threshold.
        run_id: Id of the run.
        notices: Texts that the licences of the generators require beside the images.
    """
    band, _ = policy.band(key.detector)
    fakes = [row for row in table.iter_rows(named=True) if row["label"] == Label.FAKE.value]
    others = [row for row in table.iter_rows(named=True) if row["label"] != Label.FAKE.value]
    return (
        environment(Path(__file__).parent)
        .get_template("evasion.html.jinja")
        .render(
            fakes=sorted(fakes, key=lambda row: -(row["share"] or 0)),
            others=others,
            pairs=pairs,
            thumbs=thumbs,
            key=key,
            policy_id=policy.policy_id,
            review_at=band.review_at,
            run_id=run_id,
            notices=notices,
        )
    )
