"""The decision log: each row of a run carries a hash of its inputs and of the row before it.

The hash of a row covers all columns of `LOGGED`, among them the hash of the row before, so that an
altered, removed or inserted row breaks the chain of its run. The record of the run keeps the number
of rows and the hash of the last one, without which rows at the end could be removed unseen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from .policy import Policy

# Columns that a row's hash covers. Later columns are not among them, so that hashes do not change.
LOGGED: Final = (
    "image_id",
    *("detector", "weights_sha256", "profile", "precision", "policy_id"),
    *("calibration_id", "prob_calibrated", "p_real", "decision", "reasons", "group_id"),
    *("run_id", "decided_at", "inputs_sha256", "log_index", "previous_sha256"),
)
# What `decide` reads of an image, beside score key and policy.
INPUTS: Final = (
    *("image_id", "status", "logit", "prob_fake", "width_px", "height_px", "domain"),
    *("ai_declared", "doubt", "view_prob", "p_real"),
)


_NOT_OF_PIXELS: Final = ("known", "delivered_low", "p_domain")
# Of later versions. A decision without any of them keeps the hash that it had before.
LATER_INPUTS: Final = (
    *_NOT_OF_PIXELS,
    *("detail", "jpeg_quality", "bits_per_pixel", "flat_share", "n_colours"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The end of a run's log.

    Attributes:
        n_rows: Number of rows.
        sha256: Hash of the last row; of the run's id without rows.
    """

    n_rows: int
    sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the end as JSON-ready values."""
        return asdict(self)


def first_tail(run_id: str) -> Tail:
    """Return the end of an empty log."""
    return Tail(n_rows=0, sha256=_sha256([run_id]))


def tail_of(lake: Lake, run_id: str) -> Tail:
    """Return the end of a run's log in the lake.

    Raises:
        StoreError: The lake cannot be read.
    """
    rows = lake.rows_of("decisions", [run_id], column="run_id")
    last = rows.filter(pl.col("log_index").is_not_null()).top_k(1, by="log_index").collect()
    if last.is_empty():
        return first_tail(run_id)
    row = last.row(0, named=True)
    return Tail(n_rows=row["log_index"] + 1, sha256=row_sha256(row))


def with_inputs(decided: pl.DataFrame, key: ScoreKey, policy: Policy) -> pl.DataFrame:
    """Return decided images with the hash of what each decision was made from.

    Args:
        decided: Columns of `INPUTS` and any of `LATER_INPUTS`; others are kept. Measures of pixels
            count where the policy has rules on them.
        key: Key of the scores.
        policy: Policy of the decisions.
    """
    fixed = [*key.as_row().values(), policy.policy_id]
    later = [name for name in LATER_INPUTS if name in decided.columns]
    if policy.pixels is None:
        later = [name for name in later if name in _NOT_OF_PIXELS]
    more = [
        {name: value for name, value in row.items() if value is not None}
        for row in decided.select(later).iter_rows(named=True)
    ] or [{}] * decided.height
    hashes = [
        _sha256([*fixed, *row, *([extra] if extra else [])])
        for row, extra in zip(decided.select(INPUTS).iter_rows(), more, strict=True)
    ]
    return decided.with_columns(inputs_sha256=pl.Series(hashes, dtype=pl.String))


def chained(rows: pl.DataFrame, after: Tail) -> tuple[pl.DataFrame, Tail]:
    """Return rows of `decisions` linked to the end of a log, and the new end.

    Args:
        rows: Columns of `LOGGED` without log_index and previous_sha256, in the order of the log.
        after: End of the log so far.
    """
    own = LOGGED[: LOGGED.index("log_index")]
    previous, sha256 = [], after.sha256
    for index, row in enumerate(rows.select(own).iter_rows(), start=after.n_rows):
        previous.append(sha256)
        sha256 = _sha256([*map(_plain, row), index, sha256])
    linked = rows.with_columns(
        log_index=pl.int_range(after.n_rows, after.n_rows + rows.height, dtype=pl.Int64),
        previous_sha256=pl.Series(previous, dtype=pl.String),
    )
    return linked, Tail(n_rows=after.n_rows + rows.height, sha256=sha256)


def row_sha256(row: dict[str, Any]) -> str:
    """Return the hash of a row of `decisions`, by its columns."""
    return _sha256([_plain(row[name]) for name in LOGGED])


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: times as microseconds since 1970 in UTC."""
    if isinstance(value, datetime):
        since = value.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return value


def _sha256(values: Sequence[Any]) -> str:
    # Floats are written by the shortest text that reads back as the same number.
    text = json.dumps(values, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
