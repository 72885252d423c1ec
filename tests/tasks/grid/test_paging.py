"""Pages of a table: each matching row once and in order, under any filter, while rows are added."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.errors import ConfigError
from assay.tasks.grid.columns import SCHEMA, STATES
from assay.tasks.grid.conditions import Conditions, conditions_of
from assay.tasks.grid.facets import facets_of, folders_of
from assay.tasks.grid.paging import SORTS, Cursor, cursor_of, mask_of, page_of, sort_of

START = datetime(2026, 3, 1, tzinfo=UTC)
REASONS = ("at_or_above_flag_threshold", "in_review_band", "low_resolution declared_ai")


def table_of_rows(rows):
    """Table of rows (id in hex digits, score, second, word number); ids are made 64 long."""
    frame = pl.DataFrame(
        [
            {
                "image_id": f"{number:064x}",
                "decision": ("clear", "review", "flag", None)[word % 4],
                "reasons": REASONS[word % 3],
                "prob_fake": score,
                "label": STATES[word % len(STATES)],
                "evidence": "none",
                "label_before": "none",
                "evidence_before": "none",
                "domain": (None, "news", "art")[word % 3],
                "source_uri": f"file:///in/{'AB'[word % 2]}/{number}.jpg",
                "seen_at": None if second is None else START + timedelta(seconds=second),
                "format": "JPEG",
                "width_px": 10,
                "height_px": 10,
                "ai_declared": None,
                "doubt": None,
            }
            for number, score, second, word in rows
        ],
        schema={
            name: pl.String if t in (pl.Categorical, pl.Enum) else t for name, t in SCHEMA.items()
        },
    )
    return frame.cast(dict(SCHEMA)).sort("image_id")


# Few distinct scores and times, so that ties are common.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.none() | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
        st.none() | st.integers(0, 4),
        st.integers(0, 11),
    ),
    max_size=40,
    unique_by=lambda row: row[0],
)
SOME = st.builds(
    Conditions,
    decision=st.sets(st.sampled_from(["clear", "review", "flag", "none"]), max_size=2).map(tuple),
    reason=st.sets(st.sampled_from(["in_review_band", "declared_ai"]), max_size=2).map(tuple),
    domain=st.sets(st.sampled_from(["news", "none"]), max_size=2).map(tuple),
    label=st.sets(st.sampled_from(STATES), max_size=3).map(tuple),
    source=st.none() | st.just("file:///in/A"),
    text=st.none() | st.sampled_from(["/b/", "1.JPG", "0" * 62]),
    score_from=st.none() | st.sampled_from([0.25, 0.3]),
    score_to=st.none() | st.sampled_from([0.5, 0.75]),
    since=st.none() | st.just(START + timedelta(seconds=1)),
    before=st.none() | st.just(START + timedelta(seconds=3)),
)
SORT = st.sampled_from(list(SORTS))


def meets(row, wanted):
    """Whether a row meets conditions, written down a second time and row by row."""
    some = [
        not wanted.decision or (row["decision"] or "none") in wanted.decision,
        not wanted.reason or bool(set(wanted.reason) & set(row["reasons"].split())),
        not wanted.domain or (row["domain"] or "none") in wanted.domain,
        not wanted.label or row["label"] in wanted.label,
        wanted.source is None or row["source_uri"].startswith(wanted.source),
        wanted.text is None
        or wanted.text.lower() in row["source_uri"].lower()
        or row["image_id"].startswith(wanted.text),
    ]
    score, seen = row["prob_fake"], row["seen_at"]
    if wanted.score_from is not None:
        some.append(score is not None and score >= wanted.score_from)
    if wanted.score_to is not None:
        some.append(score is not None and score <= wanted.score_to)
    if wanted.since is not None:
        some.append(seen is not None and seen >= wanted.since)
    if wanted.before is not None:
        some.append(seen is not None and seen < wanted.before)
    return all(some)


def in_order(rows, sort):
    """Rows in an order, by Python's own sort."""
    end = float("inf")
    key = {
        "newest": lambda row: end if row["seen_at"] is None else -row["seen_at"].timestamp(),
        "oldest": lambda row: end if row["seen_at"] is None else row["seen_at"].timestamp(),
        "highest": lambda row: end if row["prob_fake"] is None else -row["prob_fake"],
        "lowest": lambda row: end if row["prob_fake"] is None else row["prob_fake"],
        "nearest": lambda row: end if row["prob_fake"] is None else abs(row["prob_fake"] - 0.5),
        "id": lambda _: 0,
    }[sort]
    return [row["image_id"] for row in sorted(rows, key=lambda row: (key(row), row["image_id"]))]


def walked(table, wanted, sort, n, grown=None):
    """Ids of all pages from the first on; `grown` takes the table's place after the first page."""
    ids, after = [], None
    while True:
        page = page_of(table, wanted, sort=sort, n_rows=n, after=after)
        assert page.n_before >= len(ids) if grown is not None else page.n_before == len(ids)
        ids += page.rows["image_id"].to_list()
        if page.next is None:
            return ids
        after = cursor_of(str(page.next))
        table = table if grown is None else grown


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, wanted=SOME, sort=SORT, n=st.integers(1, 7))
def test_pages_are_the_matching_rows_in_order(rows, wanted, sort, n):
    """Forwards, they are the filtered and sorted list cut into pieces."""
    table = table_of_rows(rows)
    expected = in_order([row for row in table.to_dicts() if meets(row, wanted)], sort)
    assert walked(table, wanted, sort, n) == expected
    assert page_of(table, wanted, sort=sort, n_rows=n).n_matching == len(expected)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, wanted=SOME, sort=SORT, n=st.integers(1, 7))
def test_pages_backwards_are_the_same_rows(rows, wanted, sort, n):
    """From the last page to the first, every row comes once as well."""
    table = table_of_rows(rows)
    expected = walked(table, wanted, sort, n)
    if not expected:
        return
    page = page_of(table, wanted, sort=sort, n_rows=n)
    while page.next is not None:
        page = page_of(table, wanted, sort=sort, n_rows=n, after=page.next)
    ids = page.rows["image_id"].to_list()
    while page.previous is not None:
        page = page_of(table, wanted, sort=sort, n_rows=n, before=page.previous)
        ids = page.rows["image_id"].to_list() + ids
    assert ids == expected


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, more=ROWS, wanted=SOME, sort=SORT, n=st.integers(1, 7))
def test_rows_that_were_there_come_once_while_rows_are_added(rows, more, wanted, sort, n):
    """New rows may come or not; none of the first is left out, given twice or out of order."""
    table = table_of_rows(rows)
    known = {row[0] for row in rows}
    grown = table_of_rows(rows + [row for row in more if row[0] not in known])
    ids = walked(table, wanted, sort, n, grown)
    assert len(ids) == len(set(ids))
    first = set(table["image_id"])
    assert [i for i in ids if i in first] == walked(table, wanted, sort, n)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, wanted=SOME)
def test_facets_count_under_all_other_conditions(rows, wanted):
    """The number beside a value is what a page would have with that value alone in its filter."""
    table = table_of_rows(rows)
    counts = facets_of(table, wanted)
    for name in ("decision", "label", "domain", "reason"):
        shown = getattr(counts, name)
        others = {field: getattr(wanted, field) for field in Conditions.__dataclass_fields__}
        for value, n in shown.items():
            alone = Conditions(**(others | {name: (value,)}))
            assert int(mask_of(table, alone).sum()) == n > 0


def test_a_cursor_stands_for_a_row_that_has_left():
    """After the row of a cursor was relabelled out of the filter, the next page goes on there."""
    table = table_of_rows([(n, 0.5, 0, 0) for n in range(6)])
    first = page_of(table, Conditions(), sort="highest", n_rows=3)
    without = table.filter(pl.col("image_id") != first.next.image_id)
    second = page_of(without, Conditions(), sort="highest", n_rows=3, after=first.next)
    assert [int(image_id, 16) for image_id in second.rows["image_id"]] == [3, 4, 5]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1.0",
        "nan:" + "0" * 64,
        "1e:" + "0" * 64,
        "0.5:zz",
        "0.5:" + "0" * 63,
        "--1:" + "0" * 64,
    ],
)
def test_what_is_no_cursor_is_refused(text):
    """An address that was cut or changed says so."""
    with pytest.raises(ConfigError, match="is no place in this list"):
        cursor_of(text)


@given(key=st.floats(allow_nan=False), number=st.integers(0, 2**256 - 1))
def test_a_cursor_is_read_as_it_was_written(key, number):
    """Also the one of a row without a score, whose key is infinite."""
    cursor = Cursor(key=abs(key) if key == float("-inf") else key, image_id=f"{number:064x}")
    assert cursor_of(str(cursor)) == cursor


@pytest.mark.parametrize("n", [0, -1, 501, 10**9])
def test_a_page_is_neither_empty_nor_huge(n):
    """A request cannot ask for the whole lake at once."""
    with pytest.raises(ConfigError, match="images per page; allowed: 1 to 500"):
        page_of(table_of_rows([]), Conditions(), sort="id", n_rows=n)


def test_an_unknown_order_is_refused():
    """The message names those that there are."""
    assert sort_of("newest") == "newest"
    with pytest.raises(ConfigError, match=r"sort is 'newset'; did you mean newest.*highest"):
        sort_of("newset")


def test_text_is_looked_for_as_it_is():
    """Signs of patterns and of SQL stand for themselves."""
    table = table_of_rows([(n, 0.5, 0, 0) for n in range(3)])
    for text in ("%", ".*", "' OR 1=1 --", "(", "\\", "file:///in/_/"):
        assert not mask_of(table, conditions_of({"text": [text]})).any()
    assert mask_of(table, conditions_of({"text": ["FILE:///in/a/"]})).all()


def test_folders_are_those_with_the_most_images():
    """The name of an item is left out of its address; members of an archive stand in it."""
    table = table_of_rows([(0, 0.5, 0, 0), (1, 0.5, 0, 1), (2, 0.5, 0, 0)])
    assert folders_of(table, 5) == [("file:///in/A/", 2), ("file:///in/B/", 1)]
    assert folders_of(table, 1) == [("file:///in/A/", 2)]
