"""Whatever people write comes back from a file of answers as they wrote it."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from assay.tasks.browse.row_file import is_formula
from assay.tasks.exchange.answer_files import COLUMNS, read_answer_table, write_answers

# What a note may have: no control characters but tab and line feed, no half characters.
SIGNS = st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from(
    "\n\t\",;'=+-@|\u2028\ufeff"
)
NOTES = st.text(SIGNS, max_size=60).map(str.strip).map(lambda note: note or None)
ROWS_IN_A_NOTE = "\n".join([",".join("abcdefg")] * 12)


def expected(note):
    """Return the note that comes back: an apostrophe before a formula is taken for protection."""
    if note is not None and note.startswith("'") and is_formula(note[1:]):
        return note[1:].strip() or None
    return note


@given(st.lists(NOTES, min_size=1, max_size=6))
@example([ROWS_IN_A_NOTE, "x"])
@example(['"', '""', 'a "quoted" word', '", "'])
@example(["=cmd|' /C calc'!A0", "'=x", "'", "\ufeffx"])
@settings(max_examples=60, deadline=None)
def test_notes_come_back_from_a_table(notes):
    """Quotes, separators, formulas, line breaks and rows inside a note change nothing."""
    frame = pl.DataFrame(
        {
            "image_id": [f"{number:064x}" for number in range(len(notes))],
            "label": "real",
            "reviewer": "ann",
            "reason": pl.Series([None] * len(notes), dtype=pl.String),
            "note": pl.Series(notes, dtype=pl.String),
            "reviewed_at": datetime(2026, 3, 1, tzinfo=UTC),
            "answer_id": [f"{number:032x}" for number in range(len(notes))],
        }
    ).select(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "answers.csv"
        write_answers(frame, file, kind="csv")
        reading = read_answer_table(file, reviewer=None)
    assert reading.problems == []
    assert [given.note for given in reading.answers] == [expected(note) for note in notes]
