"""Appeals: opened once, decided by somebody new, and overturned ones make the regression set."""

from datetime import UTC, datetime, timedelta

import lakes
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.tasks.decide.policy import Band
from assay.tasks.review.answer import Answer, withdrawal
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.appeals import (
    appeals,
    decide_appeal,
    open_appeal,
    open_appeals,
    settle_appeals,
)
from assay.tasks.review.journal import Journal
from assay.tasks.review.regressions import detector_on, regression_set


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Return a lake with a flagged image and a cleared one."""
    shots = [
        Shot(name="flagged", seed=1, prob=0.99, domain="art"),
        Shot(name="cleared", seed=2, prob=0.001),
    ]
    return lakes.lake_of(tmp_path_factory.mktemp("template") / "lake", shots)


@pytest.fixture
def made(template, tmp_path):
    return lakes.copied(template, tmp_path / "lake")


def answer(made, name, label, reviewer, kind="queue", minutes=0):
    given = Answer(
        image_id=made.ids[name],
        label=label,
        reviewer=reviewer,
        origin="page",
        kind=kind,
        reviewed_at=datetime.now(UTC) + timedelta(minutes=minutes),
    )
    with Journal(made.lake) as journal:
        journal.record([given])
    return given


def opened(made, name="flagged", by="artist", **more):
    return open_appeal(made.lake, made.ids[name], text="I painted this", by=by, **more)


def state(made):
    return appeals(made.lake).select("contested", "state", "label", "decided_by").rows()


@pytest.mark.parametrize(("name", "contested"), [("flagged", "fake"), ("cleared", "real")])
def test_an_appeal_contests_the_decision(made, name, contested):
    """A flag stands for fake, a clear for real."""
    opened(made, name)
    assert state(made) == [(contested, "open", None, None)]


def test_an_appeal_contests_what_people_said_before_the_decision(made):
    """Where people have agreed on a label, that is what is contested."""
    answer(made, "cleared", "laundered", "ann")
    opened(made, "cleared")
    assert state(made)[0][0] == "laundered"


def test_another_reviewer_overturns_a_flag_and_it_joins_the_regression_set(made):
    """The queue's answer of kind appeal decides; the right label is that of the answer."""
    answer(made, "flagged", "fake", "ann", minutes=-5)
    opened(made)
    assert open_appeals(made.lake)["barred"].to_list() == [["ann", "artist"]]
    answer(made, "flagged", "real", "bob", kind="appeal")
    assert settle_appeals(made.lake) == 1
    assert settle_appeals(made.lake) == 0
    assert state(made) == [("fake", "overturned", "real", "bob")]
    regressions = regression_set(made.lake)
    assert regressions.select("image_id", "label", "domain").rows() == [
        (made.ids["flagged"], "real", "art")
    ]
    assert regressions["source_uri"][0].endswith("/flagged")


def test_an_outcome_is_seen_before_it_is_recorded(made):
    """Readers, also of a lake that cannot be written, need not wait for the next row."""
    opened(made)
    answer(made, "flagged", "real", "bob", kind="appeal")
    assert state(made) == [("fake", "overturned", "real", "bob")]
    assert len(regression_set(made.lake)) == 1
    assert made.lake.n_rows("appeals") == 1
    settle_appeals(made.lake)
    assert made.lake.n_rows("appeals") == 2
    assert state(made) == [("fake", "overturned", "real", "bob")]


@pytest.mark.parametrize(
    ("name", "label", "outcome"),
    [
        ("flagged", "fake", "upheld"),
        ("flagged", "laundered", "overturned"),
        ("cleared", "laundered", "upheld"),
        ("cleared", "fake", "overturned"),
    ],
)
def test_the_side_of_the_answer_decides(made, name, label, outcome):
    """A laundered photo is not AI-generated: in a flag it overturns, in a clear it upholds."""
    appeal_id = opened(made, name)
    assert decide_appeal(made.lake, appeal_id[:8], label=label, by="bob") == outcome
    assert len(regression_set(made.lake)) == (outcome == "overturned")


def test_unsure_decides_nothing_and_goes_to_a_third_person(made):
    """Who was unsure is not asked again, and the appeal stays open."""
    opened(made)
    answer(made, "flagged", "unsure", "bob", kind="appeal")
    assert open_appeals(made.lake)["barred"].to_list() == [["artist", "bob"]]
    answer(made, "flagged", "real", "cleo", kind="appeal")
    assert open_appeals(made.lake).is_empty()


def test_an_answer_of_another_kind_decides_nothing(made):
    """Who answers the image by chance, in a grid, has not judged the appeal."""
    opened(made)
    answer(made, "flagged", "real", "bob", kind="grid")
    assert settle_appeals(made.lake) == 0


def test_taking_back_the_deciding_answer_opens_the_appeal_again(made):
    """Undo in the queue undoes the outcome, and the next answer decides."""
    opened(made)
    given = answer(made, "flagged", "real", "bob", kind="appeal")
    settle_appeals(made.lake)
    with Journal(made.lake) as journal:
        journal.record([withdrawal(given.as_row(), origin="page")])
    assert state(made) == [("fake", "open", None, None)]
    assert regression_set(made.lake).is_empty()
    answer(made, "flagged", "fake", "cleo", kind="appeal")
    settle_appeals(made.lake)
    assert state(made) == [("fake", "upheld", "fake", "cleo")]


def test_a_later_upheld_appeal_takes_the_image_out_of_the_regression_set(made):
    """The latest decided appeal of an image counts."""
    decide_appeal(made.lake, opened(made), label="real", by="bob")
    second = opened(made, by="owner", contested="fake")
    assert len(appeals(made.lake)) == 2
    decide_appeal(made.lake, second, label="fake", by="cleo")
    assert regression_set(made.lake).is_empty()


def test_who_answered_before_may_not_decide(made):
    """The reviewer of the contested answer and the appellant are refused; nothing is recorded."""
    answer(made, "flagged", "fake", "ann", minutes=-5)
    appeal_id = opened(made)
    for name in ("ann", "artist"):
        with pytest.raises(InputError, match="another reviewer decides"):
            decide_appeal(made.lake, appeal_id, label="real", by=name)
    assert standing_answers(made.lake).collect().height == 1


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"text": "  "}, "has 0 characters; allowed: 1 to 5,000"),
        ({"text": "x" * 5001}, "has 5,001 characters"),
        ({"by": "a\nb"}, "control characters"),
        ({"contested": "unsure"}, "'unsure' is unknown"),
        ({"image_id": "f" * 64}, "has no image ffff"),
    ],
)
def test_bad_input_opens_no_appeal(made, change, seen):
    """Each value is checked before anything is written."""
    given = {"image_id": made.ids["flagged"], "text": "mine", "by": "artist"} | change
    with pytest.raises(InputError, match=seen):
        open_appeal(made.lake, **given)
    assert appeals(made.lake).is_empty()


def test_one_open_appeal_per_image(made):
    """A second appeal while one waits is refused, with the id of the first."""
    first = opened(made)
    with pytest.raises(InputError, match=first):
        opened(made, by="other")


def test_an_unknown_appeal_is_not_decided(made):
    """A wrong id, or one too short to be sure of, says where to look."""
    for given in ("abc", "0" * 32):
        with pytest.raises(InputError, match="appeal list"):
            decide_appeal(made.lake, given, label="real", by="bob")


def test_a_detector_is_tested_by_the_side_of_the_thresholds(made):
    """A real image must not be flagged, an AI-generated one not cleared."""
    decide_appeal(made.lake, opened(made), label="real", by="bob")
    decide_appeal(made.lake, opened(made, "cleared"), label="fake", by="bob")
    regressions = regression_set(made.lake)
    band = Band(review_at=0.2, flag_at=0.8)

    def passes(real, fake):
        probs = {made.ids["flagged"]: real, made.ids["cleared"]: fake}
        found = detector_on(regressions, probs, lambda _domain: band)
        return {one.label: one.passes for one in found}

    assert passes(0.79, 0.2) == {"real": True, "fake": True}
    assert passes(0.8, 0.19) == {"real": False, "fake": False}
    assert passes(None, 0.9) == {"real": False, "fake": True}
