"""`assay export`: images of a lake as CSV, Parquet or JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ....data.text.wording import counted
from ..image_filters import ImageFilters
from ..options import AsJson, DryRun, Flag, LakeUri, open_settled, print_effects, print_result


def export(
    *,
    to: Path,
    lake: LakeUri = None,
    choose: ImageFilters | None = None,
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the selected images to a file, with score, decision, label, source and format.

    Rows are ordered by image id. In CSV, lists are joined by semicolons, and a text that a
    spreadsheet would run as a formula gets a leading apostrophe.

    Args:
        to: File to write: .csv, .parquet or .jsonl.
        lake: Folder of the lake, or its s3:// prefix.
        choose: Selection of images.
        overwrite: Replacement of an existing file.
        json_: One JSON object on stdout.
        dry_run: Counts and paths of what would be read and written; nothing is changed.
    """
    from ....data.commands import command
    from ....data.user_paths import from_home
    from ....tasks.browse.export import export_images
    from ....tasks.browse.images import scope_of
    from ....tasks.browse.row_file import format_of, require_row_file

    to = from_home(to)
    kind = format_of(to)
    require_row_file(to, overwrite=overwrite)
    choose = choose or ImageFilters()
    filters = choose.filters()
    opened = open_settled(lake, dry_run=dry_run)
    scope = scope_of(opened, choose.run)
    if dry_run:
        from ...dry_run.datasets import export_effects

        print_effects(export_effects(opened, scope, filters, to), as_json=json_)
        return
    made = export_images(opened, scope, filters, to, kind=kind)
    lines = [
        f"written     {made.file}: {counted(made.images, 'image')}",
        f"            {scope.describe()}",
    ]
    if not made.images and filters.is_empty and choose.run is None:
        lines += ["next", f"  {command('moderate', 'SOURCE', lake=opened.uri)}"]
    print_result(
        lambda: "\n".join(lines),
        paths=[made.file],
        values={"lake": opened.uri, **made.to_json()},
        as_json=json_,
    )
