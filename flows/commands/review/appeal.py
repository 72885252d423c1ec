"""`assay review appeal`: contested images, and what another reviewer found."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from cyclopts import App

from ...process.terminal import width_of_stdout
from ..options import AsJson, Flag, LakeUri, open_lake, print_result
from .reviewer import Reviewer, reviewer_of

appeal = App(name="appeal", help="Open, list and decide appeals against a label or a decision.")


@appeal.command(name="open")
def open_(
    image: str,
    /,
    *,
    text: str,
    by: str,
    label: Literal["real", "fake", "laundered"] | None = None,
    lake: LakeUri = None,
    json_: AsJson = False,
) -> None:
    """Open an appeal; another reviewer than those who answered the image decides it.

    Args:
        image: Image: file, start of the id, URI or end of the path.
        text: Text of the appellant.
        by: Name of the appellant.
        label: Contested label [default: that of people, or of the last decision].
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.find_image import find_image
    from ....tasks.review.appeals import open_appeal

    opened = open_lake(lake)
    image_id = find_image(opened, image)
    appeal_id = open_appeal(opened, image_id, text=text, by=by, contested=label)
    print_result(
        lambda: f"appeal      {appeal_id} against the label of image {image_id[:16]}",
        paths=(),
        values={"lake": opened.uri, "appeal_id": appeal_id, "image_id": image_id},
        as_json=json_,
    )


@appeal.command(name="list")
def list_(
    *, lake: LakeUri = None, all_: Annotated[bool, Flag] = False, json_: AsJson = False
) -> None:
    """List open appeals, or all of them, the oldest first.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        all_: Decided appeals too.
        json_: One JSON object on stdout.
    """
    import polars as pl

    from ....data.errors import shorten
    from ....tasks.browse.table_text import Column, draw_table
    from ....tasks.review.appeals import OPEN, appeals, settle_appeals

    opened = open_lake(lake)
    settle_appeals(opened)
    found = appeals(opened)
    found = found if all_ else found.filter(pl.col("state") == OPEN)
    if json_:
        rows = json.loads(found.write_json())
        print(json.dumps({"lake": opened.uri, "appeals": rows}))  # noqa: T201
        return
    columns = [
        Column(name="appeal"),
        Column(name="image", hide=3),
        Column(name="contested"),
        Column(name="opened", hide=2),
        Column(name="by", hide=1),
        Column(name="state"),
        Column(name="text"),
    ]
    lines = [
        [
            row["appeal_id"][:12],
            row["image_id"][:16],
            row["contested"],
            f"{row['opened_at']:%Y-%m-%d %H:%M}",
            row["opened_by"],
            row["state"] if row["label"] is None else f"{row['state']}: {row['label']}",
            shorten(row["text"], 60),
        ]
        for row in found.iter_rows(named=True)
    ]
    empty = "no appeals" if all_ else "no open appeals; --all lists decided ones too"
    print(draw_table(columns, lines, width=width_of_stdout()) if lines else empty)  # noqa: T201


@appeal.command
def decide(
    appeal_id: str,
    /,
    *,
    label: Literal["real", "fake", "laundered"],
    text: str | None = None,
    lake: LakeUri = None,
    reviewer: Reviewer = None,
    json_: AsJson = False,
) -> None:
    """Decide an open appeal: on the side of the contested label it is upheld, else overturned.

    Args:
        appeal_id: Id of the appeal, or its first digits.
        label: Label that the reviewer finds.
        text: Note of the reviewer.
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Name of the reviewer, who has not answered the image before.
        json_: One JSON object on stdout.
    """
    from ....tasks.review.appeals import decide_appeal

    by = reviewer_of(reviewer)
    opened = open_lake(lake)
    state = decide_appeal(opened, appeal_id, label=label, by=by, text=text)
    print_result(
        lambda: f"{state:<11} appeal {appeal_id}: {label}",
        paths=(),
        values={"lake": opened.uri, "appeal_id": appeal_id, "state": state, "label": label},
        as_json=json_,
    )
