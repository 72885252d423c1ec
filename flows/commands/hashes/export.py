"""`assay hashes export`: a list of hashes, or those of images, for other platforms."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result


def export(
    *,
    to: Path,
    list_: Annotated[str | None, Parameter("--list")] = None,
    lake: LakeUri = None,
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write the hashes of one list or of all lists, with their notes and decisions.

    The hashes of the lake's own images are in the column `pdq` of the table `measures`, which
    `assay lake measure` fills and `assay query` reads.

    Args:
        to: File to write: .csv, .jsonl or .parquet.
        list_: Name of the list [default: all lists].
        lake: Folder of the lake, or its s3:// prefix.
        overwrite: Replacement of an existing file.
        json_: One JSON object on stdout.
        dry_run: Number of hashes that would be written; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....tasks.browse.row_file import format_of, require_row_file, write_rows
    from ....tasks.hashes.known_hashes import hashes_of
    from ...dry_run.effects import Effect, Effects

    to = from_home(to)
    require_row_file(to, overwrite=overwrite)
    opened = open_lake(lake)
    rows = hashes_of(opened, list_).collect()
    if dry_run:
        effects = Effects(
            reads=[Effect(rows.height, "hashes", f"{opened.uri}/tables/known_hashes")],
            writes=[Effect(rows.height, "hashes", str(to))],
        )
        print_effects(effects, as_json=json_)
        return
    write_rows(to, [rows], rows.schema, kind=format_of(to))
    print_result(
        lambda: f"hashes      {rows.height:,}\n{to}",
        paths=(str(to),),
        values={"lake": opened.uri, "list": list_, "hashes": rows.height, "file": str(to)},
        as_json=json_,
    )
