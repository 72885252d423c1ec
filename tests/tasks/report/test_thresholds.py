"""Counts under other thresholds: those that the rule of decisions gives, at every step."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recounting import decided_under, recounted

from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.report.thresholds import MAX_GROUPS, NO_DOMAIN, OTHER, Cells, grouped, steps_of

DETECTOR = "mini@0123456789ab"
PROBS = st.one_of(
    st.none(),
    st.floats(0, 1, width=32),
    st.sampled_from([float(np.float32(k / 100)) for k in range(0, 101, 5)]),
)
IMAGES = st.fixed_dictionaries(
    {
        "prob_fake": PROBS,
        "view_prob": st.one_of(st.none(), st.floats(0, 1)),
        "width_px": st.sampled_from([300, 900]),
        "domain": st.sampled_from([None, "photos", "art"]),
        "label": st.sampled_from([None, "real", "fake", "laundered"]),
        "ai_declared": st.sampled_from([None, "trained model"]),
        "doubt": st.sampled_from([None, "transparent"]),
    }
)


def policy(unlisted: str = "default", **domains: tuple[float, float]):
    bands = {name: {"review_at": low, "flag_at": high} for name, (low, high) in domains.items()}
    rules = {"unlisted_domain": unlisted, "detectors": {"mini": {"domains": bands}}}
    return policy_from_dict(load_policy().as_dict() | rules, source="test")


@given(
    st.lists(IMAGES, min_size=1, max_size=25),
    st.sampled_from(["default", "review"]),
    st.tuples(st.integers(0, 110), st.integers(0, 110)).map(sorted),
)
@settings(max_examples=60, deadline=None)
def test_a_recount_is_what_the_rule_decides_at_these_thresholds(
    images: list[dict[str, object]], unlisted: str, picked: list[int]
) -> None:
    """Whatever the scores, tiles, sizes, declarations and domains, no image is miscounted."""
    rules = policy(unlisted, photos=(0.2, 0.7))
    rows = decided_under(images, rules)
    steps = steps_of([rules.default, Band(review_at=0.2, flag_at=0.7)])
    cells = Cells(rules, steps)
    cells.add(rows[: len(images) // 2])
    cells.add(rows[len(images) // 2 :])
    total = cells.total()
    assert total["n"].sum() == len(images)
    # At the thresholds of the run, with those of each domain.
    bands = {domain: rules.band(DETECTOR, domain)[0] for domain in total["domain"].unique()}
    groups, by_group = grouped(total, steps, bands)
    own = [(group.review_step, group.flag_step) for group in groups]
    decided = rows["decision"].value_counts().sort("decision").rows()
    assert recounted(by_group, own) == recounted(by_group, [None] * len(own)) == decided
    # At any other two steps, for every domain alike.
    low, high = steps[picked[0]], steps[picked[1]]
    moved = policy(unlisted, photos=(low, high)).as_dict()
    moved["default"] = {"review_at": float(low), "flag_at": float(high)}
    moved["detectors"]["mini"]["domains"]["photos"] = moved["default"]
    again = decided_under(images, policy_from_dict(moved, source="test"))
    assert (
        recounted(by_group, [tuple(picked)] * len(groups))
        == again["decision"].value_counts().sort("decision").rows()
    )


def test_steps_are_hundredths_finer_at_the_ends_and_have_the_given_thresholds() -> None:
    """A threshold of 0.023 is a step, and so are 0.0001 and 0.9999."""
    steps = steps_of([Band(review_at=0.023, flag_at=0.65)]).tolist()
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0.0, 1.0)
    assert {0.0001, 0.023, 0.5, 0.65, 0.9999} < set(steps)


def test_a_score_on_a_step_is_at_or_above_it() -> None:
    """0.65 is stored as float32, which is less than the float64 0.65, and is flagged at 0.65."""
    rules = load_policy()
    rows = decided_under([{"prob_fake": float(np.float32(0.65))}], rules)
    steps = steps_of([rules.default])
    cells = Cells(rules, steps)
    cells.add(rows)
    at = steps.tolist().index(0.65)
    assert cells.total()["bin"].to_list() == [at + 1]
    assert rows["decision"].to_list() == ["flag"]


def test_a_decision_that_the_score_does_not_explain_stays() -> None:
    """A later version may flag a known image of low score; no slider clears it."""
    rows = pl.DataFrame(
        {
            "domain": [None, None],
            "prob_fake": [0.1, 0.9],
            "view_prob": [None, None],
            "decision": ["flag", "review"],
            "reasons": [
                ["known_hash", "below_review_threshold"],
                ["at_or_above_flag_threshold", "of_tomorrow"],
            ],
            "label": [None, None],
        },
        schema_overrides={"domain": pl.String, "label": pl.String, "view_prob": pl.Float64},
    )
    cells = Cells(load_policy(), steps_of([]))
    cells.add(rows)
    groups, by_group = grouped(cells.total(), steps_of([]), {None: Band(review_at=0, flag_at=0)})
    assert [group.name for group in groups] == [NO_DOMAIN]
    for edges in (None, (0, 0), (50, 60), (116, 116)):
        assert recounted(by_group, [edges]) == [("flag", 1), ("review", 1)]


def test_a_band_that_may_not_flag_keeps_its_decisions_until_the_thresholds_are_others() -> None:
    """A score of 0.9 is for review while the band is uncalibrated, and flagged at chosen 0.8."""
    band = {"review_at": 0.35, "flag_at": 0.65, "may_flag": False}
    rules = policy_from_dict(load_policy().as_dict() | {"default": band}, source="test")
    rows = decided_under([{"prob_fake": 0.9}, {"prob_fake": 0.1}], rules)
    assert rows["reasons"].to_list()[0][0] == "uncalibrated"
    steps = steps_of([rules.default])
    cells = Cells(rules, steps)
    cells.add(rows)
    _, by_group = grouped(cells.total(), steps, {None: rules.default})
    assert recounted(by_group, [None]) == [("clear", 1), ("review", 1)]
    at = steps.tolist().index(0.8)
    assert recounted(by_group, [(at, at)]) == [("clear", 1), ("flag", 1)]


@pytest.mark.parametrize("n_domains", [MAX_GROUPS, MAX_GROUPS + 40])
def test_small_domains_share_a_group_and_are_counted(n_domains: int) -> None:
    """The largest domains have groups of their own; no image is lost."""
    names = [f"d{i:03}" for i in range(n_domains) for _ in range(1 + (i < 5))]
    rows = decided_under([{"prob_fake": 0.1, "domain": name} for name in names], load_policy())
    cells = Cells(load_policy(), steps_of([]))
    cells.add(rows)
    band = Band(review_at=0.35, flag_at=0.65)
    groups, by_group = grouped(cells.total(), steps_of([band]), dict.fromkeys(names, band))
    assert sum(group.n_images for group in groups) == by_group["n"].sum() == len(names)
    assert [group.name for group in groups[:5]] == names[0:10:2]
    assert [group.name for group in groups].count(OTHER) == (n_domains > MAX_GROUPS)
