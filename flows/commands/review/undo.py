"""`assay review undo`: an answer taken back."""

from __future__ import annotations

from ....data.errors import InputError
from ..options import AsJson, LakeUri, open_lake, print_result
from .reviewer import Reviewer, reviewer_of


def undo(
    image: str | None = None,
    /,
    *,
    lake: LakeUri = None,
    reviewer: Reviewer = None,
    json_: AsJson = False,
) -> None:
    """Take back the reviewer's latest answer; the one before it about that image counts again.

    Args:
        image: Image whose answer is taken back: file, start of the id, URI or end of the path
            [default: that of the latest answer].
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Name of the reviewer.
        json_: One JSON object on stdout.

    Raises:
        InputError: There is no answer to take back.
    """
    import polars as pl

    from ....data.vocabulary import ReviewOrigin
    from ....tasks.browse.find_image import find_image
    from ....tasks.review.answer import withdrawal
    from ....tasks.review.answers import standing_answers
    from ....tasks.review.journal import Journal

    name = reviewer_of(reviewer)
    opened = open_lake(lake)
    ids = None if image is None else [find_image(opened, image)]
    mine = standing_answers(opened, ids).filter(pl.col("reviewer") == name)
    rows = mine.sort("reviewed_at", "answer_id").tail(1).collect()
    if rows.is_empty():
        about = "" if ids is None else f" about image {ids[0][:16]}"
        raise InputError(f"{name} has no answer{about} to take back in {opened.uri}")
    row = rows.row(0, named=True)
    with Journal(opened) as journal:
        journal.record([withdrawal(row, origin=ReviewOrigin.COMMAND)])
    print_result(
        lambda: f"taken back  {row['label']} of {name} about image {row['image_id'][:16]}",
        paths=(),
        values={
            "lake": opened.uri,
            "reviewer": name,
            "answer_id": row["answer_id"],
            "image_id": row["image_id"],
            "label": row["label"],
        },
        as_json=json_,
    )
