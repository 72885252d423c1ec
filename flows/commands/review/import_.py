"""`assay review import`: answers from CSV, JSON or an export of Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result


def import_(
    file: Path,
    /,
    *,
    lake: LakeUri = None,
    reviewer: str | None = None,
    skip_unknown: Annotated[bool, Flag] = False,
    control: str | None = None,
    map_: Annotated[tuple[str, ...], Parameter("--map", negative="")] = (),
    annotator: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    root: Path | None = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Record the answers of a file, all or none; a repeated import records nothing twice.

    Reads CSV, TSV, JSON and JSON lines with the columns of `assay review export`, and the exports
    JSON, JSON_MIN, CSV and TSV of Label Studio. Images are found by image_id, sha256 or source_uri.

    Args:
        file: File of answers; it may be compressed.
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Reviewer of answers that name none.
        skip_unknown: Answers about images that the lake does not have are left out.
        control: Control of Label Studio with the label [default: label, or the only one that
            fits].
        map_: Label of a choice or rating of Label Studio, as VALUE=LABEL. May be repeated.
        annotator: Reviewer of a user of Label Studio, as USER=NAME. May be repeated.
        root: Folder of the files that tasks of Label Studio name by a path.
        json_: One JSON object on stdout.
        dry_run: Number of answers that would be recorded; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....tasks.exchange.import_answers import check_import, import_answers
    from ....tasks.exchange.import_text import draw_import
    from ....tasks.exchange.label_studio_values import Reader, annotator_map, label_map

    file = from_home(file)
    reader = Reader(
        control=control,
        labels=label_map(map_),
        annotators=annotator_map(annotator),
        reviewer=reviewer,
        root=None if root is None else from_home(root),
    )
    opened = open_lake(lake)
    if dry_run:
        from ...dry_run.review import import_effects

        checked = check_import(opened, file, reader=reader, skip_unknown=skip_unknown)
        print_effects(import_effects(opened, checked), as_json=json_)
        return
    done = import_answers(opened, file, reader=reader, skip_unknown=skip_unknown)
    print_result(
        lambda: draw_import(done),
        paths=(),
        values={"lake": opened.uri, **done.to_json()},
        as_json=json_,
    )
