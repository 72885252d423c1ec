"""Conditions of the grid in an address: read, written, and refused with words."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.errors import ConfigError
from assay.data.vocabulary import Decision, DecisionReason
from assay.tasks.grid.columns import STATES
from assay.tasks.grid.conditions import Conditions, conditions_of

# hypothesis takes bounds without a zone.
NAIVE = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)
WORDS = st.text(min_size=1, max_size=20).filter(str.strip)


def several(words):
    """Up to three different values in any order."""
    return st.lists(words, max_size=3, unique=True).map(tuple)


@given(
    made=st.builds(
        Conditions,
        decision=several(st.sampled_from([*(d.value for d in Decision), "none"])),
        reason=several(st.sampled_from([reason.value for reason in DecisionReason])),
        domain=several(WORDS),
        label=several(st.sampled_from(STATES)),
        source=st.none() | WORDS,
        text=st.none() | WORDS,
        score_from=st.none() | st.floats(0, 0.5),
        score_to=st.none() | st.floats(0.5, 1),
        since=st.none()
        | st.datetimes(NAIVE.replace(year=1970), NAIVE.replace(year=2000), timezones=st.just(UTC)),
        before=st.none()
        | st.datetimes(NAIVE.replace(year=2001), NAIVE.replace(year=2100), timezones=st.just(UTC)),
    )
)
def test_conditions_are_read_as_they_were_written(made):
    """An address says all of a filter, so that it can be kept and sent."""
    query = {}
    for name, value in made.as_query():
        query.setdefault(name, []).append(value)
    assert conditions_of(query) == made


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"decision": ["flagged"]}, "decision is 'flagged'; did you mean flag"),
        ({"reason": ["nope"]}, "reason is 'nope'; allowed: at_or_above"),
        (
            {"label": ["ai"]},
            "label is 'ai'; allowed: real, fake, laundered, unsure, disputed, none",
        ),
        ({"score_from": ["nan"]}, "score_from is 'nan'; allowed: a number from 0 to 1"),
        ({"score_to": ["inf"]}, "score_to is 'inf'; allowed: a number from 0 to 1"),
        ({"score_from": ["-0.1"]}, "allowed: a number from 0 to 1"),
        ({"score_from": ["1e999"]}, "allowed: a number from 0 to 1"),
        ({"score_from": ["0.9"], "score_to": ["0.1"]}, "give the lower one first"),
        ({"score_from": ["0.1", "0.2"]}, "score_from is given 2 times; allowed: once"),
        ({"since": ["yesterday"]}, "since is 'yesterday'; allowed: a date such as 2026-03-01"),
        ({"since": ["2026-03-02"], "before": ["2026-03-01"]}, "not earlier than the end"),
        ({"since": ["0001-01-01T00:00:00+23:59"]}, "allowed: a date such as"),
        ({"text": ["x" * 501]}, "text has 501 characters; allowed: up to 500"),
        ({"domain": [str(n) for n in range(51)]}, "domain has 51 values; allowed: up to 50"),
    ],
)
def test_values_that_are_not_allowed_are_refused_in_words(query, message):
    """What was seen, and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        conditions_of(query)


def test_empty_values_and_other_names_count_as_absent():
    """A form sends its empty fields too."""
    query = {"decision": [""], "score_from": [" "], "text": [""], "page": ["3"]}
    assert conditions_of(query) == Conditions()


def test_the_last_day_of_a_range_is_in_it():
    """A date without a time is its first moment as a start, and its last as an end."""
    made = conditions_of({"since": ["2026-03-01"], "before": ["2026-03-01"]})
    assert made.since == datetime(2026, 3, 1, tzinfo=UTC)
    assert made.before == datetime(2026, 3, 2, tzinfo=UTC)
