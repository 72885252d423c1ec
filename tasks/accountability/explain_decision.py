"""Why an image has its decision: what was seen, which rule held, and what would have changed it.

These are the facts that a statement of reasons needs under Article 17(3) of the Digital Services
Act (Regulation (EU) 2022/2065): the decision, the facts it rests on, whether automated means were
used, and the ground. What would have changed it is found by deciding again with one fact changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl

from ...data.errors import ConfigError, InputError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...data.vocabulary import Decision, DecisionReason
from ...synth.laundering import DELIVERIES
from ..decide.calibration import find_calibration
from ..decide.decide import decide
from ..decide.decide_images import decision_facts
from ..decide.decision_log import with_inputs
from ..decide.domain_facts import domain_facts
from ..decide.policy import Policy
from ..latest_rows import Named, keyed_decisions
from ..promise.promise import promise_of
from ..promise.words import statement_of
from ..review.answers import standing_answers
from ..runs.run_record import find_run

_SENTENCES: Final = {
    Decision.CLEAR: "The image was cleared.",
    Decision.REVIEW: "The image was sent to a person.",
    Decision.FLAG: "The image was flagged as AI-generated.",
}

_BY_GROUP: Final = {
    DecisionReason.GROUP_OF_REVIEWED.value,
    DecisionReason.DECIDED_BY_GROUP.value,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Otherwise:
    """A change of one fact that changes the decision.

    Attributes:
        change: The change, such as `a score below 0.65`.
        decision: Decision with it.
    """

    change: str
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedDecision:
    """A decision with what it rests on.

    Attributes:
        image_id: Id of the image.
        decision: Decision: clear, review or flag.
        decided_at: Time of the decision, UTC.
        run_id: Id of the run that decided.
        reasons: Sentences of the reasons, the one that decided first.
        score: Score in [0, 1]; None without one.
        logit: Logit of the score.
        p_real: P-value against labelled real images; None without a calibration.
        p_domain: P-value of the distance to the labelled images; None without a rule on it.
        domain_distance: Cosine distance to the nearest labelled image of the calibration; None
            without a rule on it.
        prob_calibrated: Calibrated probability of being AI-generated; None without a calibration.
        key: Key of the score.
        policy_id: Id of the policy.
        review_at: Threshold of review that applied.
        flag_at: Threshold of flag that applied.
        domain: Domain of the image.
        guarantee: Promise of the thresholds, or why there is none.
        facts: Other facts that the rules read.
        people: Answers of people about the image: reviewer, label, time.
        otherwise: Changes that would have changed the decision.
        are_inputs_unchanged: Whether the tables still hold what the decision was made from; None
            for decisions of versions without a log.
        log_index: Position in the log of the run; None without a log.
    """

    image_id: str
    decision: str
    decided_at: datetime
    run_id: str
    reasons: tuple[str, ...]
    score: float | None
    logit: float | None
    p_real: float | None
    p_domain: float | None
    domain_distance: float | None
    prob_calibrated: float | None
    key: ScoreKey
    policy_id: str
    review_at: float
    flag_at: float
    domain: str | None
    guarantee: str
    facts: dict[str, Any]
    people: tuple[dict[str, Any], ...]
    otherwise: tuple[Otherwise, ...]
    are_inputs_unchanged: bool | None
    log_index: int | None

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as JSON-ready values."""
        return asdict(self) | {"decided_at": self.decided_at.isoformat(), "automated": True}

    def text(self) -> str:
        """Return the explanation in words, one fact per line."""
        score = "none" if self.score is None else f"{self.score:.4f} (logit {self.logit:.3f})"
        lines = [
            f"image       {self.image_id}",
            f"decision    {self.decision}, {self.decided_at:%Y-%m-%d %H:%M:%S} UTC, by run"
            f" {self.run_id}",
            f"            {_SENTENCES[Decision(self.decision)]}",
            *(f"reason      {reason}" for reason in self.reasons),
            f"score       {score} by {self.key.describe()}",
            f"thresholds  review from {self.review_at:.4f}, flag from {self.flag_at:.4f}, by policy"
            f" {self.policy_id}" + (f" for domain {self.domain}" if self.domain else ""),
        ]
        lines.append(f"guarantee   {self.guarantee}")
        if self.p_real is not None:
            lines.append(
                f"p-value     of 1,000 labelled real images, about {1000 * self.p_real:.0f} score"
                " this high"
            )
        if self.p_domain is not None:
            distance = "" if self.domain_distance is None else f" {self.domain_distance:.4f}"
            lines.append(
                f"domain      cosine distance{distance} to the nearest labelled image; of 1,000"
                f" labelled real images, about {1000 * self.p_domain:.0f} are as far from others"
            )
        if self.prob_calibrated is not None:
            lines.append(f"probability {self.prob_calibrated:.3f}, calibrated")
        lines += [f"fact        {name}: {value}" for name, value in self.facts.items()]
        lines.append("means       automated: a detector and a policy, without a person")
        for one in self.people:
            lines.append(
                f"person      {one['reviewer']} answered {one['label']},"
                f" {one['reviewed_at']:%Y-%m-%d %H:%M} UTC"
            )
        lines += [f"otherwise   with {one.change}: {one.decision}" for one in self.otherwise] or [
            "otherwise   no change of a single fact changes the decision"
        ]
        if self.are_inputs_unchanged is not None:
            state = "as they were" if self.are_inputs_unchanged else "changed since"
            lines.append(f"log         row {self.log_index} of the run; its inputs are {state}")
        return "\n".join(lines)


def explain_decision(lake: Lake, image_id: str, *, run_id: str | None = None) -> ExplainedDecision:
    """Explain the latest decision on an image, or that of a run.

    Args:
        lake: Lake of the image.
        image_id: Id of the image.
        run_id: Id of the run; None for the latest decision.

    Raises:
        InputError: There is no decision on the image, or its run has no record of its rules.
        StoreError: The lake cannot be read.
    """
    mine = Named(ids=(image_id,))
    rows = keyed_decisions(lake, part=mine)
    if run_id is not None:
        rows = rows.filter(pl.col("run_id") == run_id)
    latest = rows.sort("decided_at").tail(1).collect()
    if latest.is_empty():
        by = f" by run {run_id}" if run_id else ""
        raise InputError(f"image {image_id} has no decision{by}; run `assay score` on its lake")
    row = latest.row(0, named=True)
    key, policy = ScoreKey.of(row), find_run(lake, row["run_id"]).policy()
    if key is None or policy is None:
        raise InputError(
            f"the record of run {row['run_id']} does not have the rules behind its decisions;"
            " decide again with `assay decide`"
        )
    facts = (
        decision_facts(lake, mine, key)
        .collect()
        .with_columns(
            p_real=pl.lit(row["p_real"], dtype=pl.Float32),
            p_domain=pl.lit(row["p_domain"], dtype=pl.Float32),
        )
    )
    seen = facts.row(0, named=True)
    band, _ = policy.band(key.detector, seen["domain"])
    logged = row["inputs_sha256"]
    now = with_inputs(facts, key, policy)["inputs_sha256"][0]
    return ExplainedDecision(
        image_id=image_id,
        decision=row["decision"],
        decided_at=row["decided_at"],
        run_id=row["run_id"],
        reasons=tuple(DecisionReason.text_of(word) for word in row["reasons"]),
        score=seen["prob_fake"],
        logit=seen["logit"],
        p_real=row["p_real"],
        p_domain=row["p_domain"],
        domain_distance=None if row["p_domain"] is None else _distance(lake, facts, key, policy),
        prob_calibrated=row["prob_calibrated"],
        key=key,
        policy_id=policy.policy_id,
        review_at=band.review_at,
        flag_at=band.flag_at,
        domain=seen["domain"],
        guarantee=statement_of(promise_of(lake, policy, key)),
        facts={name: value for name, value in _facts(seen).items() if value is not None},
        people=_people(lake, image_id),
        otherwise=tuple(_otherwise(facts, policy, row["decision"], row["reasons"])),
        are_inputs_unchanged=None if logged is None else logged == now,
        log_index=row["log_index"],
    )


def _facts(seen: dict[str, Any]) -> dict[str, Any]:
    """Return the facts beside the score, by their names for people."""
    return {
        "size": f"{seen['width_px']} x {seen['height_px']} px",
        "highest score of a tile": seen["view_prob"],
        "declared AI-generated by its metadata": seen["ai_declared"],
        "viewers may show it differently": seen["doubt"],
        "decision of a known hash": seen["known"],
        "logits of its deliveries": _range(seen),
    }


def _range(seen: dict[str, Any]) -> str | None:
    """Return the range of the logits of those deliveries that were scored."""
    if seen["delivered_low"] is None:
        return None
    n, low, high = (seen[name] for name in ("n_deliveries", "delivered_low", "delivered_high"))
    return f"{low:.3f} to {high:.3f}, of {n} of {len(DELIVERIES)} scored"


def _people(lake: Lake, image_id: str) -> tuple[dict[str, Any], ...]:
    """Return the standing answers of people about an image, the earliest first."""
    rows = standing_answers(lake, [image_id]).select("reviewer", "label", "reviewed_at")
    return tuple(rows.sort("reviewed_at").collect().to_dicts())


def _distance(lake: Lake, facts: pl.DataFrame, key: ScoreKey, policy: Policy) -> float | None:
    """Return the distance of an image to the labelled ones; None if it is not known any more."""
    try:
        calibration = find_calibration(lake, str(policy.calibration))
    except ConfigError:
        return None
    part = Named(ids=tuple(facts["image_id"]))
    near = domain_facts(lake, part, facts, key, calibration)
    return None if near.is_empty() else float(near["domain_distance"][0])


def _otherwise(
    facts: pl.DataFrame, policy: Policy, decision: str, reasons: Sequence[str]
) -> Iterator[Otherwise]:
    """Yield the changes of one fact with which the policy decides otherwise."""
    if _BY_GROUP & set(reasons):
        yield Otherwise(
            change="no copies that are decided together",
            decision=decide(facts, policy)["decision"][0],
        )
        return
    seen = facts.row(0, named=True)
    band, _ = policy.band(seen["detector"], seen["domain"])
    prob, edge_px = seen["prob_fake"], policy.min_short_edge_px
    changes: list[tuple[str, dict[str, Any]]] = []
    for name, at in (("flag", band.flag_at), ("review", band.review_at)):
        if prob is None or policy.fdr is not None:
            continue
        if np.float32(prob) >= np.float32(at):
            below = float(np.nextafter(np.float32(at), np.float32(0)))
            changes.append((f"a score below the {name} threshold, {at:.4f}", {"prob_fake": below}))
        else:
            changes.append((f"a score of {at:.4f}, the {name} threshold", {"prob_fake": at}))
    if min(seen["width_px"] or 0, seen["height_px"] or 0) < edge_px:
        sizes = {"width_px": edge_px, "height_px": edge_px}
        changes.append((f"a short edge of {edge_px} px or more", sizes))
    if seen["ai_declared"]:
        changes.append(("no declaration in its metadata", {"ai_declared": None}))
    if seen["doubt"]:
        changes.append(("the same look in every viewer", {"doubt": None}))
    if seen["view_prob"] is not None:
        changes.append(("no tile above the flag threshold", {"view_prob": None}))
    if seen["known"] is not None:
        changes.append(("no match with a known hash", {"known": None}))
    if seen["delivered_low"] is not None:
        changes.append(("deliveries that score as high", {"delivered_low": None}))
    if seen["p_domain"] is not None:
        changes.append(("labelled images that are like it", {"p_domain": None}))
    for change, values in changes:
        other = facts.with_columns(
            **{name: pl.lit(value, dtype=facts.schema[name]) for name, value in values.items()}
        )
        now = decide(other, policy)["decision"][0]
        if now != decision:
            yield Otherwise(change=change, decision=now)
