"""`assay review golden`: images of known label that measure reviewers."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ....data.text.wording import counted
from ...process.terminal import width_of_stdout
from ..options import AsJson, LakeUri, open_lake, print_result
from .reviewer import Reviewer, reviewer_of

golden = App(name="golden", help="Set, remove and list golden items: images whose label is known.")


@golden.command
def add(
    *images: Annotated[str, Parameter(name="IMAGE")],
    label: Literal["real", "fake", "laundered"],
    lake: LakeUri = None,
    reviewer: Reviewer = None,
    json_: AsJson = False,
) -> None:
    """Make images golden items of a known label.

    Args:
        *images: Images: file, start of the id, URI or end of the path.
        label: Known label.
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Name of the person who knows it.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.find_image import find_image
    from ....tasks.review.golden import set_golden

    by = reviewer_of(reviewer)
    opened = open_lake(lake)
    image_ids = [find_image(opened, image) for image in images]
    changed = set_golden(opened, image_ids, label=label, by=by)
    print_result(
        lambda: f"golden      {counted(len(changed), 'image')} set to {label}",
        paths=(),
        values={"lake": opened.uri, "label": label, "image_ids": changed},
        as_json=json_,
    )


@golden.command
def remove(
    *images: Annotated[str, Parameter(name="IMAGE")],
    lake: LakeUri = None,
    reviewer: Reviewer = None,
    json_: AsJson = False,
) -> None:
    """Make images golden no longer; their answers stay.

    Args:
        *images: Images: file, start of the id, URI or end of the path.
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Name of the person who decides it.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.find_image import find_image
    from ....tasks.review.golden import remove_golden

    by = reviewer_of(reviewer)
    opened = open_lake(lake)
    removed = remove_golden(opened, [find_image(opened, image) for image in images], by=by)
    print_result(
        lambda: f"golden      {counted(len(removed), 'image')} removed",
        paths=(),
        values={"lake": opened.uri, "image_ids": removed},
        as_json=json_,
    )


@golden.command(name="list")
def list_(*, lake: LakeUri = None, json_: AsJson = False) -> None:
    """List the golden items with label, person and time.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ....tasks.browse.table_text import Column, draw_table
    from ....tasks.review.golden import golden_items

    opened = open_lake(lake)
    items = golden_items(opened)
    if json_:
        rows = json.loads(items.drop("is_active").write_json())
        print(json.dumps({"lake": opened.uri, "golden": rows}))  # noqa: T201
        return
    columns = [
        Column(name="image"),
        Column(name="label"),
        Column(name="set", hide=1),
        Column(name="by"),
    ]
    rows = [
        [row["image_id"][:16], row["label"], f"{row['set_at']:%Y-%m-%d %H:%M}", row["set_by"]]
        for row in items.iter_rows(named=True)
    ]
    print(draw_table(columns, rows, width=width_of_stdout()) if rows else "no golden items")  # noqa: T201
