"""Time per item and answers per day, of answers that can be counted by eye."""

from datetime import UTC, datetime

import polars as pl

from assay.tasks.review.agreement.pace import answers_per_day, paces


def frame(rows):
    """Return answers from (reviewer, image, day, seconds)."""
    return pl.DataFrame(
        {
            "image_id": [image for _, image, _, _ in rows],
            "reviewer": [who for who, _, _, _ in rows],
            "label": ["unsure" if seconds == 9 else "real" for *_, seconds in rows],
            "reviewed_at": [datetime(2026, 3, day, 12, tzinfo=UTC) for _, _, day, _ in rows],
            "seconds": pl.Series([seconds for *_, seconds in rows], dtype=pl.Float32),
        }
    )


ANSWERS = frame(
    [
        ("al", "1", 1, 1.0),
        ("al", "2", 1, 2.0),
        ("al", "3", 1, 3.0),
        ("al", "3", 2, 4.0),
        ("al", "4", 4, 9.0),
        ("bo", "1", 2, None),
    ]
)


def test_quartiles_days_and_the_last_day():
    """Al gave 5 answers about 4 images on 3 days: 3, 1 and 1; bo's answer has no time."""
    al, bo = paces(ANSWERS)
    assert (al.reviewer, al.answers, al.images, al.unsure, al.timed) == ("al", 5, 4, 1, 5)
    assert (al.seconds_q1, al.seconds_median, al.seconds_q3) == (2.0, 3.0, 4.0)
    assert (al.days, al.per_day_median, al.last_day) == (3, 1.0, "2026-03-04")
    assert (bo.answers, bo.timed, bo.seconds_median) == (1, 0, None)


def test_days_are_counted_in_utc():
    """Each reviewer and day has one row."""
    assert answers_per_day(ANSWERS).filter(reviewer="al")["answers"].to_list() == [3, 1, 1]


def test_nobody_has_no_pace():
    """Without answers there are no rows."""
    assert paces(ANSWERS.clear()) == []
