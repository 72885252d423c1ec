"""Decisions: total, pure, by the first rule that holds, and recorded once."""

from __future__ import annotations

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import DETECTOR, KEY, Shot, decisions_of, lake_of

from assay.data.vocabulary import Decision, DecisionReason
from assay.tasks.decide.decide import decide
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.latest_rows import parts_of

COLUMNS = {
    "image_id": pl.String,
    "detector": pl.String,
    "status": pl.String,
    "prob_fake": pl.Float32,
    "width_px": pl.Int32,
    "height_px": pl.Int32,
    "domain": pl.String,
    "ai_declared": pl.String,
}


def rules(**changes: Any) -> Policy:
    values: dict[str, Any] = {
        "name": "test",
        "min_short_edge_px": 440,
        "unlisted_domain": "default",
        "default": {"review_at": 0.35, "flag_at": 0.65},
        "detectors": {"mini": {"domains": {"art": {"review_at": 0.8, "flag_at": 0.9}}}},
    }
    return policy_from_dict(values | changes, source="test")


def row(**changes: Any) -> dict[str, Any]:
    return {
        "image_id": "a",
        "detector": "mini@1",
        "status": "scored",
        "prob_fake": 0.1,
        "width_px": 640,
        "height_px": 480,
        "domain": None,
        "ai_declared": None,
    } | changes


def decided(policy: Policy | None = None, **changes: Any) -> tuple[str, list[str]]:
    frame = pl.DataFrame([row(**changes)], schema=COLUMNS)
    out = decide(frame, policy or rules())
    return out["decision"][0], out["reasons"][0].to_list()


@pytest.mark.parametrize(
    ("changes", "decision", "reasons"),
    [
        ({"prob_fake": 0.1}, "clear", ["below_review_threshold"]),
        ({"prob_fake": 0.35}, "review", ["in_review_band"]),
        ({"prob_fake": 0.64}, "review", ["in_review_band"]),
        ({"prob_fake": 0.65}, "flag", ["at_or_above_flag_threshold"]),
        ({"prob_fake": 1.0}, "flag", ["at_or_above_flag_threshold"]),
        # A small picture's score means little, high or low.
        ({"prob_fake": 0.99, "height_px": 439}, "review", ["low_resolution"]),
        ({"prob_fake": 0.01, "width_px": 439}, "review", ["low_resolution"]),
        (
            {"prob_fake": 0.01, "width_px": 440, "height_px": 440},
            "clear",
            ["below_review_threshold"],
        ),
        ({"prob_fake": 0.01, "width_px": None}, "review", ["low_resolution"]),
        # What was not scored is never cleared.
        ({"status": "failed", "prob_fake": None}, "review", ["not_scored"]),
        ({"status": "failed", "prob_fake": 0.01}, "review", ["not_scored"]),
        ({"status": None, "prob_fake": 0.01}, "review", ["not_scored"]),
        ({"prob_fake": math.nan}, "review", ["not_scored"]),
        ({"prob_fake": 1.5}, "review", ["not_scored"]),
        ({"status": "failed", "width_px": 10}, "review", ["not_scored", "low_resolution"]),
        # What declares itself machine-made is never cleared, and not flagged by that alone.
        ({"ai_declared": "c2pa"}, "review", ["below_review_threshold", "declared_ai"]),
        ({"ai_declared": " "}, "clear", ["below_review_threshold"]),
        (
            {"ai_declared": "c2pa", "prob_fake": 0.9},
            "flag",
            ["at_or_above_flag_threshold", "declared_ai"],
        ),
        # Domains.
        ({"domain": "art", "prob_fake": 0.7}, "clear", ["below_review_threshold"]),
        ({"domain": "art", "prob_fake": 0.9}, "flag", ["at_or_above_flag_threshold"]),
        (
            {"domain": "news", "prob_fake": 0.7},
            "flag",
            ["at_or_above_flag_threshold", "no_threshold_for_domain"],
        ),
    ],
)
def test_the_first_rule_that_holds_decides(
    changes: dict[str, Any], decision: str, reasons: list[str]
) -> None:
    """Each rule of the policy, at its edges."""
    assert decided(**changes) == (decision, reasons)


def test_a_domain_without_thresholds_can_be_left_to_people() -> None:
    """With unlisted_domain = "review" its pictures are neither cleared nor flagged."""
    policy = rules(unlisted_domain="review")
    for prob in (0.01, 0.99):
        decision, reasons = decided(policy, domain="news", prob_fake=prob)
        assert decision == "review"
        assert "no_threshold_for_domain" in reasons
    assert decided(policy, domain=None, prob_fake=0.01)[0] == "clear"


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "image_id": st.sampled_from(["a", "b"]),
            "detector": st.sampled_from(["mini@1", "mini@2", "other", "", None]),
            "status": st.sampled_from(["scored", "failed", "odd", None]),
            "prob_fake": st.none() | st.floats(width=32) | st.floats(0, 1, width=32),
            "width_px": st.none() | st.integers(0, 2**31 - 1),
            "height_px": st.none() | st.integers(0, 900),
            "domain": st.sampled_from(["art", "news", "", None]),
            "ai_declared": st.sampled_from(["c2pa", "", None]),
        }
    ),
    max_size=40,
)
SHARES = st.floats(0, 1)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    low=SHARES,
    high=SHARES,
    unlisted=st.sampled_from(["default", "review"]),
    short_edge=st.integers(0, 1000),
)
def test_every_row_gets_one_decision_and_a_reason(
    rows: list[dict[str, Any]], low: float, high: float, unlisted: str, short_edge: int
) -> None:
    """Whatever the row and the policy: same rows, same order, closed vocabularies, no clearing."""
    policy = rules(
        default={"review_at": min(low, high), "flag_at": max(low, high)},
        unlisted_domain=unlisted,
        min_short_edge_px=short_edge,
    )
    frame = pl.DataFrame(rows, schema=COLUMNS)
    out = decide(frame, policy)
    assert out.drop("decision", "reasons").equals(frame)
    for seen in out.iter_rows(named=True):
        assert seen["decision"] in set(Decision)
        assert seen["reasons"]
        assert set(seen["reasons"]) <= set(DecisionReason)
        assert len(set(seen["reasons"])) == len(seen["reasons"])
        if seen["decision"] != "review":
            assert seen["status"] == "scored"
            assert 0 <= seen["prob_fake"] <= 1
            assert min(seen["width_px"], seen["height_px"]) >= short_edge
        if seen["decision"] == "clear":
            assert not seen["ai_declared"]
        if seen["decision"] == "flag":
            assert DecisionReason.AT_OR_ABOVE_FLAG in seen["reasons"]


@settings(max_examples=50, deadline=None)
@given(rows=ROWS)
def test_a_row_is_decided_alike_alone_and_in_company(rows: list[dict[str, Any]]) -> None:
    """No row's decision depends on the others."""
    together = decide(pl.DataFrame(rows, schema=COLUMNS), rules())
    for index, alone in enumerate(rows):
        single = decide(pl.DataFrame([alone], schema=COLUMNS), rules())
        assert single["decision"][0] == together["decision"][index]
        assert single["reasons"][0].to_list() == together["reasons"][index].to_list()


def test_columns_of_nothing_but_nulls_are_accepted() -> None:
    """A frame whose domain, declaration or score columns have no type yet is decided."""
    frame = pl.DataFrame([row(prob_fake=None, status="failed")])
    assert frame.schema["domain"] == pl.Null
    assert decide(frame, rules())["decision"].to_list() == ["review"]


def test_decisions_are_recorded_once_and_again_only_when_they_change(tmp_path: Path) -> None:
    """Running again writes nothing; a new policy writes all; a better score writes one row."""
    made = lake_of(
        tmp_path / "lake", [Shot(name="a", prob=0.1, seed=1), Shot(name="b", prob=0.9, seed=2)]
    )
    asked = {
        "image_ids": None,
        "key": KEY,
        "run_id": "again",
    }
    assert decisions_of(made).height == 2
    policy = load_policy()
    counts = decide_images(made.lake, policy=policy, **asked)
    assert counts == {"clear": 1, "review": 0, "flag": 1}
    assert decisions_of(made).height == 2
    assert decide_images(made.lake, policy=rules(), **asked) == counts
    assert decisions_of(made).height == 4
    again = made.lake.scan("scores").filter(pl.col("image_id") == made.ids["a"]).collect()
    later = again.with_columns(
        pl.lit(0.5, dtype=pl.Float32).alias("prob_fake"),
        pl.col("scored_at") + timedelta(minutes=1),
    )
    made.lake.append("scores", later, txn="later")
    counts = decide_images(made.lake, policy=policy, **asked)
    assert counts == {"clear": 0, "review": 1, "flag": 1}
    assert decisions_of(made).height == 5
    assert decisions_of(made)["detector"].unique().to_list() == [DETECTOR]


def test_only_the_images_asked_for_are_decided_and_counted(tmp_path: Path) -> None:
    """A batch's decisions are about the batch; an image nobody scored goes to review."""
    made = lake_of(
        tmp_path / "lake", [Shot(name=n, seed=i) for i, n in enumerate("abc")], is_scored=False
    )
    counts = decide_images(
        made.lake,
        image_ids=pl.Series([made.ids["a"], made.ids["b"], made.ids["a"]]),
        key=KEY,
        policy=rules(),
        run_id="r",
    )
    assert counts == {"clear": 0, "review": 2, "flag": 0}
    assert decisions_of(made)["reasons"].to_list() == [["not_scored"], ["not_scored"]]


def test_the_domain_is_that_of_the_latest_sighting(tmp_path: Path) -> None:
    """Seen as news first and as art later, a picture is judged by the thresholds for art."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", prob=0.7, domain="news")], policy=rules())
    assert decisions_of(made)["decision"].to_list() == ["flag"]
    seen = made.lake.scan("sightings").collect()
    later = seen.with_columns(pl.col("seen_at") + timedelta(hours=1), domain=pl.lit("art"))
    made.lake.append("sightings", later, txn="later")
    counts = decide_images(made.lake, image_ids=None, policy=rules(), run_id="r", key=KEY)
    assert counts == {"clear": 1, "review": 0, "flag": 0}


def test_parts_of_a_table_are_disjoint_and_whole(tmp_path: Path) -> None:
    """However many parts, every row is in one of them; deciding by parts changes nothing."""
    made = lake_of(tmp_path / "lake", [Shot(name=str(i), seed=i) for i in range(12)])
    parts = list(parts_of(made.lake, None, rows_at_a_time=3))
    assert len(parts) == 4
    seen = [
        image_id
        for part in parts
        for image_id in part.rows(made.lake, "images").collect()["image_id"]
    ]
    assert sorted(seen) == sorted(made.ids.values())
