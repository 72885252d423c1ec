"""Why an image is worth a look, in one sentence.

The sentence is made from score and decision alone, so that it is the same for an image of the
queue, a golden item and an appeal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ....data.vocabulary import Decision, DecisionReason

_BY_SCORE = (
    DecisionReason.AT_OR_ABOVE_FLAG,
    DecisionReason.IN_REVIEW_BAND,
    DecisionReason.BELOW_REVIEW,
)


def why(row: Mapping[str, Any]) -> str:
    """Return the sentence for an image.

    Args:
        row: Values decision, reasons, prob_fake, logit, review_at, flag_at and source_label; all
            may be None.
    """
    if row["decision"] is None:
        return "Not decided yet."
    reasons = list(row["reasons"] or [])
    parts = [_of_score(row)] if row["prob_fake"] is not None else []
    parts += [DecisionReason.text_of(word) for word in reasons if word not in _BY_SCORE]
    if row["decision"] == Decision.FLAG.value and row["source_label"] == "real":
        parts.insert(0, "its source calls it real")
    head = {"flag": "Flagged", "review": "Left to people", "clear": "Cleared"}[row["decision"]]
    return f"{head}: {'; '.join(parts) or 'no reason is recorded'}."


def _of_score(row: Mapping[str, Any]) -> str:
    """Return the score with the nearest threshold."""
    text = f"score {row['prob_fake']:.2g}"
    edges = [
        (abs(row["logit"] - _logit(row[name])), noun, row[name])
        for name, noun in (("review_at", "review"), ("flag_at", "flag"))
        if row["logit"] is not None and row[name] is not None and 0 < row[name] < 1
    ]
    if not edges:
        return text
    gap, noun, edge = min(edges)
    side = "above" if row["logit"] >= _logit(edge) else "below"
    return f"{text}, {gap:.1f} logits {side} the {noun} threshold {edge:.2g}"


def _logit(prob: float) -> float:
    return math.log(prob / (1 - prob))
