"""`assay review next`: the images to review next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ...process.terminal import width_of_stdout
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects
from .reviewer import Reviewer, reviewer_of

if TYPE_CHECKING:
    from ....tasks.review.queue import QueueItem


def next_(
    *,
    lake: LakeUri = None,
    n: Annotated[int, Parameter(name=["--n", "-n"])] = 5,
    reviewer: Reviewer = None,
    second_opinion: Annotated[bool, Flag] = False,
    to: Path | None = None,
    lease: str = "30m",
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """List the images to review next, which nobody else is given meanwhile.

    Images that were listed before and not answered come first. `assay review add` records the
    answers.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        n: Number of images, 1 to 1,000.
        reviewer: Name of the reviewer.
        second_opinion: Images that others have answered, the disputed ones first.
        to: Folder to write the image files to, named by their ids.
        lease: Time for which the images are kept from others, up to 1d.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.durations import span_s
    from ....data.user_paths import from_home
    from ....tasks.audit.audits import open_draws
    from ....tasks.review.journal import Journal
    from ....tasks.review.queue import next_items
    from ....tasks.review.queue.extract import extract, require_folder

    name = reviewer_of(reviewer)
    lease_s = span_s("--lease", lease)
    folder = None if to is None else from_home(to).absolute()
    if folder is not None:
        require_folder(folder)
    opened = open_lake(lake)
    if dry_run:
        from ...dry_run.reviews import next_effects

        print_effects(next_effects(opened, n, folder), as_json=json_)
        return
    with Journal(opened) as journal:
        items = next_items(
            opened,
            journal,
            reviewer=name,
            n=n,
            second_opinion=second_opinion,
            lease_s=lease_s,
            resume=True,
            drawings=(open_draws,),
        )
    files: dict[str, Path | None] = {}
    if folder is not None:
        files = extract(opened, [item.image_id for item in items], folder)
    if json_:
        rows = [_as_json(item, files) for item in items]
        print(json.dumps({"lake": opened.uri, "reviewer": name, "items": rows}))  # noqa: T201
    else:
        print(_draw(items, files, opened.uri, name, is_written=folder is not None))  # noqa: T201


def _as_json(item: QueueItem, files: dict[str, Path | None]) -> dict[str, object]:
    """Return an item as plain values, without its occasion, which reviewers do not see."""
    values = asdict(item)
    del values["kind"]
    file = files.get(item.image_id)
    return values | {"reasons": list(item.reasons), "file": None if file is None else str(file)}


def _draw(
    items: Sequence[QueueItem],
    files: dict[str, Path | None],
    lake: str,
    reviewer: str,
    *,
    is_written: bool,
) -> str:
    from ....data.commands import command
    from ....tasks.browse.table_text import Column, draw_table

    if not items:
        return f"nothing is left to review for {reviewer} in {lake}"
    place = "file" if is_written else "source"
    columns = [Column(name="image"), Column(name="domain", hide=1), Column(name="why")]
    rows = [[item.image_id[:16], item.domain or "", item.why] for item in items]
    lines = [draw_table(columns, rows, width=width_of_stdout()), "", place]
    for item in items:
        file = files.get(item.image_id)
        missing = "its bytes are lost or damaged; `assay lake check` tells more"
        where = str(file or missing) if is_written else item.source_uri or ""
        lines.append(f"  {item.image_id[:16]}  {where}")
    lines += ["next", f"  {command('review', 'add', items[0].image_id[:16], 'LABEL', lake=lake)}"]
    return "\n".join(lines)
