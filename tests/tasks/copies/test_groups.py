"""Copies get one decision: that of a reviewed member, else that of the best preserved one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import KEY, Made, Shot, lake_of

from assay.data.vocabulary import Decision
from assay.tasks.copies.groups import find_groups, groups_of, together
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.redecide.changes import read_changes


def images(*rows: tuple[str, int, int], pdqs: list[int] | None = None) -> pl.DataFrame:
    """Return images of an id, a hash and a width, all 10 px high, and of a PDQ."""
    known = [None] * len(rows) if pdqs is None else [f"{pdq:064x}" for pdq in pdqs]
    return pl.DataFrame(
        {
            "pdq": pl.Series(known, dtype=pl.String),
            "image_id": [row[0] for row in rows],
            "phash": [f"{row[1]:016x}" for row in rows],
            "width_px": [row[2] for row in rows],
            "height_px": [10] * len(rows),
            "n_bytes": [1000] * len(rows),
        }
    )


def leads(frame: pl.DataFrame) -> dict[str, str]:
    return dict(groups_of(frame).select("image_id", "lead_id").iter_rows())


def test_the_image_with_most_pixels_leads_what_is_within_6_bits():
    """Six bits are near, seven are not; an image without a copy is in no group."""
    frame = images(("a", 0, 50), ("b", 0b111111, 90), ("c", 0b1111111 << 20, 70), ("d", 0, 50))
    assert leads(frame) == {"a": "b", "b": "b", "d": "b"}


def test_other_images_of_the_same_hash_are_told_apart_by_pdq():
    """64 bits are near, 65 are not; those left over are compared with each other."""
    rows = [(name, 0, 90 - number) for number, name in enumerate("abcd")]
    far = (1 << 255) - (1 << 190)
    frame = images(*rows, pdqs=[0, (1 << 64) - 1, far, far + 1])
    assert leads(frame) == {"a": "a", "b": "a", "c": "c", "d": "c"}
    assert leads(frame.with_columns(pdq=pl.lit(None, pl.String))) == dict.fromkeys("abcd", "a")


def test_many_images_of_one_hash_end_alone():
    """Of 20 images with the same hash and far PDQs, none is in a group with another."""
    rng = np.random.default_rng(0)
    rows = [(f"{number:02}", 7, 10) for number in range(20)]
    pdqs = [int.from_bytes(rng.bytes(32), "big") for _ in rows]
    assert leads(images(*rows, pdqs=pdqs)) == {}


def test_a_chain_does_not_join_its_ends():
    """Each of five is 6 bits from the next; all members are near to their lead."""
    chain = [(str(n), (1 << (6 * n)) - 1, 50 - n) for n in range(5)]
    assert leads(images(*chain)) == {"0": "0", "1": "0", "2": "2", "3": "2"}


@given(st.lists(st.tuples(st.integers(0, 2**12), st.integers(1, 4)), max_size=30))
@settings(max_examples=60)
def test_every_member_is_near_to_its_lead_and_no_larger(rows):
    """Groups are disjoint, have two members at least, and do not depend on the order."""
    frame = images(*((str(n), *row) for n, row in enumerate(rows)))
    groups = groups_of(frame)
    known = {row["image_id"]: row for row in frame.iter_rows(named=True)}
    for image_id, _, lead_id in groups.iter_rows():
        own, lead = known[image_id], known[lead_id]
        assert (int(own["phash"], 16) ^ int(lead["phash"], 16)).bit_count() <= 6
        assert own["width_px"] <= lead["width_px"]
    assert groups["image_id"].is_unique().all()
    assert groups.group_by("group_id").len().filter(pl.col("len") < 2).is_empty()
    assert groups_of(frame.reverse()).sort("image_id").equals(groups.sort("image_id"))


@pytest.mark.parametrize(
    ("label", "decision", "reasons"),
    [
        (None, "flag", ["decided_by_group", "low_resolution"]),
        ("real", "clear", ["group_of_reviewed", "low_resolution"]),
        ("laundered", "flag", ["group_of_reviewed", "low_resolution"]),
    ],
)
def test_a_label_decides_before_the_lead(label, decision, reasons):
    """Without an agreed label, the lead's decision is that of the copy."""
    decided = pl.DataFrame(
        {
            "image_id": ["lead", "copy", "listed", "alone"],
            "decision": ["flag", "review", "review", "clear"],
            "reasons": [["x"], ["low_resolution"], ["known_hash"], ["y"]],
        }
    )
    groups = pl.DataFrame(
        {
            "image_id": ["lead", "copy", "listed"],
            "group_id": ["g"] * 3,
            "lead_id": ["lead"] * 3,
        }
    )
    named = {"group_id": ["g"], "label": [label]} if label else {"group_id": [], "label": []}
    labels = pl.DataFrame(named, schema={"group_id": pl.String, "label": pl.String})
    out = together(decided, decided, groups, labels)
    rows = {row["image_id"]: row for row in out.iter_rows(named=True)}
    assert (rows["copy"]["decision"], rows["copy"]["reasons"]) == (decision, reasons)
    assert rows["listed"]["decision"] == "review"
    assert (rows["alone"]["decision"], rows["alone"]["group_id"]) == ("clear", None)


def rules(**changes: Any) -> Policy:
    return policy_from_dict(load_policy().as_dict() | changes, source="test")


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Make a flagged original with a small copy of low score, and another image."""
    return lake_of(
        tmp_path,
        [
            Shot(name="original", prob=0.9, seed=1, size=(960, 880)),
            Shot(name="copy", prob=0.1, seed=1, size=(480, 440)),
            Shot(name="other", prob=0.1, seed=2),
        ],
    )


def decided(made: Made, run_id: str, ids: list[str] | None = None) -> dict[str, dict[str, Any]]:
    wanted = None if ids is None else pl.Series("image_id", ids)
    policy = rules(copies="together", name="test")
    decide_images(made.lake, image_ids=wanted, key=KEY, policy=policy, run_id=run_id)
    rows = made.lake.scan("decisions").filter(pl.col("run_id") == run_id).collect()
    names = {image_id: name for name, image_id in made.ids.items()}
    return {names[row["image_id"]]: row for row in rows.iter_rows(named=True)}


def test_a_copy_gets_the_decision_of_the_original_in_its_lake(made):
    """Also if only the copy is decided; the group is named after the lead."""
    for number, ids in enumerate((None, [made.ids["copy"]])):
        run_id = f"20260301T12000{number + 1}Z-00000001"
        if ids is not None:
            made.lake.append("scores", rescored(made), txn="again")
        rows = decided(made, run_id, ids)
        if ids is None:
            assert rows["copy"]["decision"] == "flag"
            assert rows["copy"]["reasons"] == ["decided_by_group", "below_review_threshold"]
            assert rows["copy"]["group_id"] == rows["original"]["group_id"]
            assert rows["original"]["group_id"] == f"g-{made.ids['original'][:16]}"
            assert (rows["other"]["decision"], rows["other"]["group_id"]) == ("clear", None)
        else:
            assert rows["copy"]["reasons"] == ["decided_by_group", "in_review_band"]


def rescored(made: Made) -> list[dict[str, Any]]:
    """Return a later score of the copy, in the band."""
    old = made.lake.scan("scores").filter(pl.col("image_id") == made.ids["copy"]).collect()
    row = old.row(0, named=True)
    later = datetime(2026, 5, 1, tzinfo=UTC)
    return [row | {"logit": 0.0, "prob_fake": 0.5, "scored_at": later, "run_id": "later"}]


def test_a_reviewed_member_decides_for_its_copies(made):
    """The original is reviewed as real: both are cleared, and the dry run says so before."""
    answer = {
        "image_id": made.ids["original"],
        "label": "real",
        "reviewer": "ada",
        "note": None,
        "reviewed_at": datetime(2026, 4, 1, tzinfo=UTC),
    }
    made.lake.append("reviews", [answer], txn="answer")
    shadow = read_changes(made.lake, rules(copies="together"), KEY, None)
    rows = decided(made, "20260301T120002Z-00000001")
    assert rows["original"]["decision"] == Decision.CLEAR.value
    assert rows["original"]["reasons"][0] == "group_of_reviewed"
    assert rows["copy"]["decision"] == Decision.CLEAR.value
    assert shadow.height == 3


def test_few_images_find_the_same_groups_as_all(made):
    """The look-up in the lake and the pass over it agree."""
    whole = find_groups(made.lake, None).sort("image_id")
    for name in ("original", "copy"):
        some = find_groups(made.lake, pl.Series("image_id", [made.ids[name]]))
        assert some.sort("image_id").equals(whole)
    assert find_groups(made.lake, pl.Series("image_id", [made.ids["other"]])).is_empty()


def test_images_far_by_pdq_are_no_copies(made):
    """Where both are measured; a measure of one alone changes nothing."""
    for number, name in enumerate(("original", "copy")):
        row = {
            "image_id": made.ids[name],
            "reason": None,
            "detail": 0.5,
            "flat_share": 0.1,
            "n_colours": 100,
            "pdq": f"{number * (2**65 - 1):064x}",
            "measured_at": datetime(2026, 4, 1, tzinfo=UTC),
        }
        assert find_groups(made.lake, None).height == 2
        made.lake.append("measures", [row], txn=name)
    assert find_groups(made.lake, None).is_empty()
    assert find_groups(made.lake, pl.Series("image_id", [made.ids["copy"]])).is_empty()
