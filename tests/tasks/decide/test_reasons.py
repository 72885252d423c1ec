"""Rules on pixels at their edges; every reason is reached, documented, and has a sentence."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import assay
from assay.data.errors import ConfigError
from assay.data.vocabulary import DecisionReason
from assay.tasks.decide.decide import decide
from assay.tasks.decide.pixel_rules import bits_per_pixel
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import policy_from_dict

DOCS = Path(assay.__file__).parent / "docs" / "decisions.md"
RULES = {"min_detail": 0.38, "min_jpeg_quality": 40, "min_bits_per_pixel": 0.25}
GRAPHIC = {"flat_share": 0.6, "n_colours": 15}


def policy(**changes: Any) -> Policy:
    values: dict[str, Any] = {
        "name": "test",
        "min_short_edge_px": 440,
        "unlisted_domain": "default",
        "default": {"review_at": 0.35, "flag_at": 0.65},
        "pixels": RULES | {"graphics": "review"},
        "calibration": "c-0123456789ab",
        "out_of_domain": {"level": 0.05},
    }
    return policy_from_dict(values | changes, source="test")


def decided(rules: Policy | None = None, **changes: Any) -> list[str]:
    row = {
        "image_id": "a",
        "detector": "mini@1",
        "status": "scored",
        "prob_fake": 0.9,
        "width_px": 640,
        "height_px": 480,
        "domain": None,
        "ai_declared": None,
    }
    out = decide(pl.DataFrame([row | changes]), rules or policy())
    return [out["decision"][0], *out["reasons"][0]]


@pytest.mark.parametrize(
    ("measure", "limit", "below", "reason"),
    [
        ("detail", 0.38, 0.379, "enlarged"),
        ("jpeg_quality", 40, 39, "heavy_compression"),
        ("bits_per_pixel", 0.25, 0.249, "heavy_compression"),
    ],
)
@pytest.mark.parametrize("prob", [0.01, 0.5, 0.99])
def test_what_cannot_be_judged_goes_to_review_whatever_its_score(
    measure, limit, below, reason, prob
):
    """Below its limit an image is not judged; at the limit, and if unknown, it is."""
    plain = decided(prob_fake=prob)
    assert decided(prob_fake=prob, **{measure: below}) == ["review", reason]
    assert decided(prob_fake=prob, **{measure: limit}) == plain
    assert decided(prob_fake=prob, **{measure: None}) == plain


@pytest.mark.parametrize(
    "changes", [{"flat_share": 0.59}, {"n_colours": 16}, {"flat_share": None}, {"n_colours": None}]
)
def test_a_graphic_is_flat_and_has_few_colours(changes):
    """Both measures must hold and be known."""
    assert decided(**GRAPHIC)[0] == "review"
    assert decided(**GRAPHIC | changes) == decided()


def test_a_graphic_is_not_flagged_and_may_be_cleared():
    """The flag of a graphic is left to people; below the band nothing changes but the note."""
    assert decided(**GRAPHIC) == ["review", "graphic_not_photo", "at_or_above_flag_threshold"]
    assert decided(**GRAPHIC, prob_fake=0.1) == [
        "clear",
        "graphic_not_photo",
        "below_review_threshold",
    ]


@pytest.mark.parametrize(
    ("prob", "clears", "decision"),
    [
        (0.9, "keep", "review"),
        (0.5, "keep", "review"),
        (0.1, "keep", "clear"),
        (0.1, "review", "review"),
    ],
)
def test_out_of_domain_is_at_or_below_the_level(prob, clears, decision):
    """The 20th part is at most 0.05; above, and without an embedding, nothing changes."""
    rules = policy(out_of_domain={"level": 0.05, "clears": clears})
    found = decided(rules, prob_fake=prob, p_domain=1 / 20)
    assert found[:2] == [decision, "out_of_domain"]
    plain = decided(rules, prob_fake=prob)
    assert found[2:] == plain[1:]
    assert decided(rules, prob_fake=prob, p_domain=0.0501) == plain
    bare = policy(out_of_domain=None)
    assert decided(bare, prob_fake=prob, p_domain=0.001) == plain


def test_out_of_domain_needs_a_calibration():
    """A distance to labelled images needs labelled images."""
    with pytest.raises(ConfigError, match="calibration is missing"):
        policy(calibration=None)


def test_without_rules_pixels_decide_nothing():
    """A policy without the table decides as before, and keeps its identity."""
    bare = policy(pixels=None)
    broken = {"detail": 0.1, "jpeg_quality": 1, "bits_per_pixel": 0.01, **GRAPHIC}
    assert decided(bare, **broken) == decided(bare) == ["flag", "at_or_above_flag_threshold"]
    assert "pixels" not in bare.as_dict()
    again = policy_from_dict(policy().as_dict(), source="again")
    assert again.policy_id == policy().policy_id != bare.policy_id


def test_rules_survive_widening():
    """A policy for another precision keeps its rules on pixels."""
    assert policy().widened(0.1).pixels == policy().pixels


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"min_detail": 2}, "pixels.min_detail = 2; allowed: a number from 0 to 1"),
        ({"graphics": "keep"}, 'allowed: "judge" or "review"'),
        ({"min_detial": 0.3}, "unknown key pixels.min_detial"),
    ],
)
def test_a_wrong_rule_is_named(rules, words):
    """The message has the key, the value and what is allowed."""
    with pytest.raises(ConfigError, match=re.escape(words)):
        policy(pixels=rules)


def test_bits_per_pixel_of_lossy_stills_only():
    """1,000 bytes for 100 x 80 px are one bit per pixel; other formats and animations have none."""
    rows = pl.DataFrame(
        {
            "format": ["JPEG", "PNG", "WEBP", "WEBP"],
            "width_px": [100] * 4,
            "height_px": [80] * 4,
            "n_bytes": [1000] * 4,
            "n_frames": [1, 1, 1, 5],
        }
    )
    assert rows.select(bits_per_pixel()).to_series().to_list() == [1.0, None, 1.0, None]


# Rows that have each reason.
REACHED: dict[str, dict[str, Any]] = {
    "at_or_above_flag_threshold": {},
    "in_review_band": {"prob_fake": 0.5},
    "below_review_threshold": {"prob_fake": 0.1},
    "view_at_or_above_flag_threshold": {"view_prob": 0.9},
    "low_resolution": {"width_px": 10},
    "enlarged": {"detail": 0.1},
    "heavy_compression": {"jpeg_quality": 5},
    "graphic_not_photo": GRAPHIC,
    "out_of_domain": {"p_domain": 0.01},
    "known_hash": {"known": "review"},
    "unstable_under_delivery": {"delivered_low": -3.0},
    "declared_ai": {"ai_declared": "c2pa"},
    "not_as_seen": {"doubt": "transparent"},
    "uncalibrated": {},
    "not_scored": {"status": "failed"},
    "no_threshold_for_domain": {"domain": "news"},
}


def test_every_reason_is_reached():
    """The vocabulary has no word that no image can have."""
    people = policy(default={"review_at": 0.35, "flag_at": 0.65, "may_flag": False})
    # Of groups of copies: tests/tasks/copies.
    groups = {DecisionReason.GROUP_OF_REVIEWED, DecisionReason.DECIDED_BY_GROUP}
    assert set(REACHED) == {reason.value for reason in set(DecisionReason) - groups}
    for reason, changes in REACHED.items():
        assert reason in decided(people if reason == "uncalibrated" else None, **changes)


def test_every_reason_is_documented():
    """The table of the page has one row per reason, and each has a sentence for people."""
    rows = re.findall(r"^\| `([a-z_]+)` \|", DOCS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for reason in DecisionReason:
        assert rows.count(reason.value) == 1, reason
        assert len(reason.text.split()) >= 2
