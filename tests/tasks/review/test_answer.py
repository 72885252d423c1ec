"""An answer that can be made can be stored, and what is refused is named."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reviewing import answer, image_ids

from assay.data.errors import InputError
from assay.data.store.conform import conform
from assay.data.vocabulary import ReviewReason
from assay.tasks.review.answer import row_of_json, withdrawal

IMAGE = image_ids(1)[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reviewer": ""}, "is empty"),
        ({"reviewer": "   "}, "is empty"),
        ({"reviewer": "a" * 10_000}, "10,000 characters; allowed: 1 to 200"),
        ({"reviewer": "ann\x1b[31m"}, "control characters"),
        ({"reviewer": "ann\nbob"}, "control characters"),
        ({"reviewer": "ann\u2028bob"}, "control characters"),
        ({"reviewer": "ann\u202ebob"}, "control characters"),
        ({"reviewer": "ann\tbob"}, "control characters"),
        ({"reviewer": "\ud800"}, "control characters"),
        ({"reviewer": " ann"}, "blanks at its ends"),
        ({"reviewer": None}, "is not text"),
        ({"label": "maybe"}, "label 'maybe' is unknown; allowed: real, fake, laundered, unsure"),
        ({"reason": "hunch"}, "reason 'hunch' is unknown; allowed: visible_artefacts"),
        ({"kind": "dream"}, "kind 'dream' is unknown"),
        ({"origin": "pigeon"}, "origin 'pigeon' is unknown"),
        ({"shown": ["score", "price"]}, "what was shown 'price' is unknown"),
        ({"note": "x" * 5_001}, "the note has 5,001 characters; allowed: 5,000"),
        ({"note": "a\x00b"}, "control characters"),
        ({"note": "\ud800"}, "not valid text"),
        ({"note": 5}, "is not text"),
        ({"seconds": -1}, "-1 seconds"),
        ({"seconds": math.nan}, "nan seconds"),
        ({"seconds": math.inf}, "inf seconds"),
        ({"seconds": 1e38}, r"1e\+38 seconds"),
        ({"seconds": "5"}, "'5' seconds"),
        ({"answer_id": "1"}, "answer_id '1' is not an id"),
        ({"answer_id": None}, "needs an id"),
        ({"withdraws": "../../x"}, "withdraws '../../x' is not an id"),
        ({"reviewed_at": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001
    ],
)
def test_a_value_that_is_not_allowed_is_refused_by_name(given, message):
    """The message says what was seen and what is allowed."""
    with pytest.raises(InputError, match=message):
        answer(IMAGE, **given)


@pytest.mark.parametrize("image_id", ["", "abc", "A" * 64, "../" + "a" * 61, 7, "a" * 64 + "\n"])
def test_the_id_of_an_image_is_64_hex_digits(image_id):
    """Nothing else is taken, also nothing that could be a path."""
    with pytest.raises(InputError, match="not an id; allowed: 64"):
        answer(image_id)


def test_an_answer_cannot_take_back_itself():
    """An answer that took back itself would be none."""
    with pytest.raises(InputError, match="cannot take back itself"):
        answer(IMAGE, answer_id="a" * 32, withdraws="a" * 32)


def test_line_ends_of_a_form_become_line_feeds_and_an_empty_note_is_none():
    """A browser sends CR LF."""
    assert answer(IMAGE, note="one\r\ntwo\rthree \n").note == "one\ntwo\nthree"
    assert answer(IMAGE, note=" \r\n ").note is None


def test_a_time_is_kept_in_utc():
    """Half past one in UTC+2 is half past eleven."""
    local = datetime(2026, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert answer(IMAGE, reviewed_at=local).reviewed_at == datetime(
        2025, 12, 31, 23, 30, tzinfo=UTC
    )
    assert answer(IMAGE, reviewed_at=local).reviewed_at.tzinfo is UTC


def test_names_in_other_scripts_are_names():
    """Joiners are part of some scripts and of emoji."""
    for name in ("Zoë", "李小龍", "नेहा क्\u200dष", "محمد", "👩\u200d💻"):
        assert answer(IMAGE, reviewer=name).reviewer == name


@settings(deadline=None, max_examples=50)
@given(
    note=st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300),
    seconds=st.none() | st.floats(0, 1e8),
    reason=st.none() | st.sampled_from(ReviewReason),
    shown=st.lists(st.sampled_from(["score", "map", "reasons", "neighbours"])),
    reviewed_at=st.datetimes(min_value=datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_every_answer_fits_the_table_and_comes_back_from_the_journal(
    note, seconds, reason, shown, reviewed_at
):
    """The row of the journal's JSON is the row of the answer."""
    made = answer(
        IMAGE, note=note, seconds=seconds, reason=reason, shown=shown, reviewed_at=reviewed_at
    )
    assert row_of_json(made.as_json()) == made.as_row()
    assert conform("reviews", [made.as_row()]).num_rows == 1


def test_the_digest_is_of_what_was_said_and_not_of_the_time():
    """A client that sends an answer again gives it a new time."""
    first = answer(IMAGE, answer_id="a" * 32, seconds=3.0)
    again = answer(IMAGE, answer_id="a" * 32, seconds=9.0)
    other = answer(IMAGE, "real", answer_id="a" * 32)
    assert first.digest() == again.digest() != other.digest()


def test_a_withdrawal_names_its_answer_and_is_unsure_for_older_versions():
    """Reviewer and image are those of the answer."""
    given = answer(IMAGE, reviewer="bob")
    back = withdrawal(given.as_row(), origin="command")
    assert (back.withdraws, back.reviewer, back.label) == (given.answer_id, "bob", "unsure")
    with pytest.raises(InputError, match=r"0\.2\.0 and older have no id"):
        withdrawal(given.as_row() | {"answer_id": None}, origin="command")
