"""Why an image is worth a look, in words."""

from __future__ import annotations

import pytest

from assay.tasks.review.queue.wording import why

ROW = {
    "decision": "review",
    "reasons": ["in_review_band"],
    "prob_fake": 0.5,
    "logit": 0.0,
    "review_at": 0.2689414,
    "flag_at": 0.9,
    "source_label": None,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "Left to people: score 0.5, 1.0 logits above the review threshold 0.27."),
        (
            {"decision": "flag", "reasons": [], "source_label": "real", "logit": 2.3},
            "Flagged: its source calls it real; score 0.5, 0.1 logits above the flag"
            " threshold 0.9.",
        ),
        (
            {"reasons": ["below_review_threshold", "declared_ai"], "logit": -2.0},
            "Left to people: score 0.5, 1.0 logits below the review threshold 0.27;"
            " declared AI-generated in its metadata.",
        ),
        ({"review_at": None, "flag_at": None}, "Left to people: score 0.5."),
        ({"review_at": 0.0, "flag_at": 1.0}, "Left to people: score 0.5."),
        (
            {"prob_fake": None, "logit": None, "reasons": ["not_scored"]},
            "Left to people: not scored.",
        ),
        ({"prob_fake": None, "reasons": None}, "Left to people: no reason is recorded."),
        ({"decision": None}, "Not decided yet."),
    ],
)
def test_the_sentence_names_score_threshold_and_what_else_speaks(changed, said):
    """By decision, in one sentence."""
    assert why(ROW | changed) == said
