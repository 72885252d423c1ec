"""The order of the queue: doubtful flags, then what the policy leaves to people, then the rest."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.tasks.review.queue.ranking import rank, shortlist

SCHEMA = {
    "image_id": pl.String,
    "decision": pl.String,
    "reasons": pl.List(pl.String),
    "logit": pl.Float32,
    "review_at": pl.Float32,
    "flag_at": pl.Float32,
    "domain": pl.String,
    "source_label": pl.String,
    "phash": pl.String,
}


def image(name, logit=None, decision=None, **more):
    """One row: thresholds at the logits -1 and 1, and a hash of its own."""
    hashed = sum(ord(char) << (8 * at) for at, char in enumerate(name)) * 0x9E3779B97F4A7C15
    return {
        "image_id": name,
        "decision": decision,
        "reasons": [],
        "logit": logit,
        "review_at": 1 / (1 + math.exp(1)),
        "flag_at": 1 / (1 + math.exp(-1)),
        "domain": None,
        "source_label": None,
        "phash": f"{hashed % 2**64:016x}",
    } | more


def order(*images, **more):
    """Return the ids in the order of the queue."""
    return rank(pl.DataFrame(images, schema=SCHEMA), **more)["image_id"].to_list()


def test_a_flag_close_above_its_threshold_is_before_what_is_left_to_people():
    """And a certain flag is after it."""
    assert order(
        image("clear", -5.0, "clear"),
        image("sure", 6.0, "flag"),
        image("band", 0.0, "review"),
        image("close", 1.5, "flag"),
    ) == ["close", "band", "clear", "sure"]


@pytest.mark.parametrize(
    "doubt", [{"source_label": "real"}, {"reasons": ["at_or_above_flag_threshold", "not_as_seen"]}]
)
def test_a_certain_flag_is_in_doubt_if_something_speaks_against_it(doubt):
    """The label of its source, or what viewers may show."""
    assert order(image("band", 0.0, "review"), image("sure", 6.0, "flag", **doubt)) == [
        "sure",
        "band",
    ]


def test_a_source_that_calls_a_flagged_image_fake_is_no_doubt():
    """It agrees."""
    sure = image("sure", 6.0, "flag", source_label="fake")
    assert order(image("band", 0.0, "review"), sure) == ["band", "sure"]


def test_in_a_tier_the_score_nearest_to_a_threshold_is_first():
    """In logits: -1.2 lies 0.2 from the lower threshold, 0.7 lies 0.3 from the upper one."""
    images = [
        image("middle", 0.0, "review"),
        image("upper", 0.7, "review"),
        image("lower", -1.2, "review"),
        image("unscored", None, "review"),
    ]
    assert order(*images) == ["lower", "upper", "middle", "unscored"]


def test_without_thresholds_the_score_one_half_is_the_middle():
    """Also with thresholds that mean always and never."""
    nothing = {"review_at": None, "flag_at": None}
    assert order(image("far", 3.0, **nothing), image("near", -0.5, **nothing)) == ["near", "far"]
    ends = {"review_at": 0.0, "flag_at": 1.0}
    assert order(image("far", 3.0, **ends), image("near", -0.5, **ends)) == ["near", "far"]


def test_domains_take_turns():
    """A domain of one image is second, though all four of the other are nearer."""
    big = [image(f"big{n}", 0.01 * n, "review", domain="big") for n in (4, 3, 2, 1)]
    assert order(*big, image("small", 0.0, "review", domain="small"))[:3] == [
        "big4",
        "small",
        "big3",
    ]


def test_of_copies_the_first_is_shown_and_the_others_come_last_in_their_tier():
    """Hashes within 6 bits are copies, 7 bits are none."""
    same = [
        image(f"copy{n}", 0.9 - n / 100, "review", phash=f"{bits:016x}")
        for n, bits in enumerate((0, 0, 0b111111))
    ]
    other = image("other", 0.1, "review", phash=f"{0b1111111 << 20:016x}")
    clear = image("clear", -1.0, "clear")
    assert order(*same, other, clear) == ["copy0", "other", "copy1", "copy2", "clear"]


def test_copies_of_an_answered_image_come_last():
    """There is no first one to show."""
    images = [image("copy", 0.9, "review", phash="0" * 16), image("other", 0.1, "review")]
    assert order(*images) == ["copy", "other"]
    known = pl.Series(["0" * 15 + "1"])
    assert order(*images, known_hashes=known) == ["other", "copy"]


def test_a_copy_in_another_tier_is_a_copy_too():
    """The one of the first tier is shown, and that of the second goes behind its tier."""
    images = [
        image("flagged", 1.1, "flag", phash="0" * 16),
        image("band", 0.9, "review", phash="0" * 16),
        image("other", 0.0, "review"),
    ]
    assert order(*images) == ["flagged", "other", "band"]


def test_a_shortlist_is_the_beginning_of_the_queue_where_nothing_is_a_copy():
    """Domains take turns in it too."""
    images = [
        image(f"{domain}{n}", n / 10, "review", domain=domain)
        for domain in ("a", "b")
        for n in range(5)
    ]
    frame = pl.DataFrame(images, schema=SCHEMA)
    assert shortlist(frame, 4)["image_id"].to_list() == order(*images)[:4]
    assert shortlist(frame, 10).equals(frame)


def test_nothing_is_ranked_to_nothing():
    """With the columns of a ranking."""
    ranked = rank(pl.DataFrame(schema=SCHEMA))
    assert ranked.height == 0
    assert {"tier", "distance", "is_copy"} <= set(ranked.columns)


rows = st.lists(
    st.builds(
        image,
        st.text("abcdefgh", min_size=1, max_size=4),
        st.none() | st.floats(-20, 20, width=32),
        st.sampled_from([None, "clear", "review", "flag"]),
        domain=st.sampled_from([None, "a", "b"]),
        phash=st.integers(0, 40).map(lambda bits: f"{bits * 0x0101010101010101 % 2**64:016x}"),
    ),
    max_size=25,
    unique_by=lambda row: row["image_id"],
)


@settings(deadline=None, max_examples=60)
@given(rows=rows, seed=st.integers(0, 5), mixed=st.randoms(use_true_random=False))
def test_every_image_is_ranked_once_whatever_the_order_of_the_rows(rows, seed, mixed):
    """The order follows from the rows and the seed."""
    ranked = order(*rows, seed=seed)
    assert sorted(ranked) == sorted(row["image_id"] for row in rows)
    mixed.shuffle(rows)
    assert order(*rows, seed=seed) == ranked
