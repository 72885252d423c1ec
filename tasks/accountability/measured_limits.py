"""What a lake shows of a detector under a policy: its audits, deliveries and labelled files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...data.vocabulary import Decision, DecisionReason
from ..audit.audits import read_audit
from ..calibrate.labelled import read_labelled
from ..delivery.delivered import delivered_range
from ..latest_rows import latest_decisions, latest_scores
from ..proportion import Interval, share
from ..shortcuts.measure import FACTS, GATE_AUC, MIN_GROUPS, measure_shortcut

_NOT_MEASURED: Final = "not measured"


def measured_limits(lake: Lake, policy_id: str, key: ScoreKey) -> Iterator[str]:
    """Yield a line of Markdown per measure, also for those that are still to be taken.

    Args:
        lake: Lake of the decisions.
        policy_id: Id of the policy of the decisions.
        key: Key of the scores.

    Raises:
        StoreError: The lake cannot be read.
    """
    yield from _audit(lake, policy_id, key)
    yield from _deliveries(lake, policy_id, key)
    yield from _shortcut(lake, key)


def _audit(lake: Lake, policy_id: str, key: ScoreKey) -> Iterator[str]:
    drawn = lake.scan("audits").filter(key.where() & (pl.col("policy_id") == policy_id))
    last = drawn.sort("drawn_at").select("audit_id").tail(1).collect()
    if last.is_empty():
        yield "- Audit: none of decisions by this policy; `assay audit draw` draws one."
        return
    audit = read_audit(lake, last.item())
    n_drawn = sum(one.n_drawn for one in audit.strata.values())
    n_labelled = sum(one.n_labelled for one in audit.strata.values())
    found = audit.estimate
    yield (
        f"- Audit {audit.audit_id} of {audit.drawn_at:%Y-%m-%d}, {n_labelled:,} of"
        f" {counted(n_drawn, 'drawn image')} labelled: right among the flagged"
        f" {_text(found.precision)}; fakes that are flagged {_text(found.recall)}, flagged or in"
        f" review {_text(found.found)}; fakes among the cleared"
        f" {_text(found.fakes.get(Decision.CLEAR.value))}."
    )


def _deliveries(lake: Lake, policy_id: str, key: ScoreKey) -> Iterator[str]:
    reasons = pl.col("reasons").list
    flags = (
        latest_decisions(lake, key, policy_id=policy_id)
        .filter(reasons.contains(DecisionReason.AT_OR_ABOVE_FLAG.value))
        .select("image_id", is_unstable=reasons.contains(DecisionReason.UNSTABLE.value))
        .join(delivered_range(lake, key), on="image_id")
        .join(latest_scores(lake, key).select("image_id", "logit"), on="image_id")
        .select("is_unstable", fall=(pl.col("logit") - pl.col("delivered_low")).clip(lower_bound=0))
        .drop_nulls()
        .collect()
    )
    if flags.is_empty():
        yield "- Deliveries: no flag was scored again; `--delivery flags` does so."
        return
    n_unstable = int(flags["is_unstable"].sum())
    falls = flags["fall"].to_numpy()
    yield (
        f"- Deliveries: of {counted(flags.height, 'score')} at or above the flag"
        f" threshold {n_unstable:,}"
        f" did not hold when the image was saved again, {share(n_unstable, flags.height).text()};"
        f" the lowest lay {np.median(falls):.2f} below the image's own logit in the median and"
        f" {falls.max():.2f} at most."
    )


def _shortcut(lake: Lake, key: ScoreKey) -> Iterator[str]:
    labelled = read_labelled(lake, key).rows.select("image_id", "is_fake")
    facts = lake.rows_of("images", labelled["image_id"]).select("image_id", *FACTS)
    rows = (
        labelled.lazy()
        .join(facts.unique("image_id", keep="any"), on="image_id")
        .with_columns(group_id="image_id")
        .sort("image_id")
        .collect()
    )
    found = measure_shortcut(rows)
    if found is None:
        yield (
            f"- Shortcut: {_NOT_MEASURED}, which takes {MIN_GROUPS} labelled real and"
            f" {MIN_GROUPS} fake images."
        )
        return
    says = (
        "So the figures of this card may come from the files in place of their content."
        if found.low > GATE_AUC
        else "So the files alone say little of the class."
    )
    yield (
        "- Shortcut: file size, format, dimensions and compression of the labelled images tell"
        f" fake from real with an AUC of {found.value:.2f} ({found.low:.2f} to {found.high:.2f})."
        f" {says}"
    )


def _text(found: Interval | None) -> str:
    return _NOT_MEASURED if found is None else found.text()
