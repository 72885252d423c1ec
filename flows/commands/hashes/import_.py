"""`assay hashes import`: hashes of a CSV file into a list of the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..options import AsJson, DryRun, LakeUri, open_lake, print_effects, print_result


def import_(
    file: Path,
    /,
    *,
    list_: Annotated[str, Parameter("--list")],
    decision: Literal["review", "flag"] = "review",
    lake: LakeUri = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Add the PDQ hashes of a CSV file to a list, all or none; known ones are not added again.

    An image that matches a hash, in at most 31 of 256 bits, gets the decision of the list with the
    next run or `assay decide`, whatever its score.

    Args:
        file: CSV file with the columns hash (64 hexadecimal digits) and, optionally, note.
        list_: Name of the list.
        decision: Decision on images that match.
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
        dry_run: Number of hashes that would be added; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....data.vocabulary import Decision
    from ....tasks.hashes.hash_file import read_hashes
    from ....tasks.hashes.known_hashes import add_hashes, check_list_name, missing_hashes
    from ...dry_run.effects import Effect, Effects

    check_list_name(list_)
    rows = read_hashes(from_home(file))
    opened = open_lake(lake)
    on_match = Decision(decision)
    if dry_run:
        n_new = missing_hashes(opened, rows, list_name=list_, decision=on_match).height
        effects = Effects(
            reads=[Effect(rows.height, "hashes", str(file))],
            writes=[Effect(n_new, "rows of known_hashes", f"{opened.uri}/tables/known_hashes")],
        )
        print_effects(effects, as_json=json_)
        return
    n_added = add_hashes(opened, rows, list_name=list_, decision=on_match)
    print_result(
        lambda: f"hashes      {n_added:,} added to {list_}, {rows.height - n_added:,} known",
        paths=(),
        values={
            "lake": opened.uri,
            "list": list_,
            "decision": decision,
            "read": rows.height,
            "added": n_added,
        },
        as_json=json_,
    )
