"""`assay forget`: erase images from a lake, and keep them out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects


def forget(
    *image_id: Annotated[str, Parameter(name="IMAGE_ID", negative="")],
    lake: LakeUri = None,
    ids: Path | None = None,
    reason: str | None = None,
    by: str | None = None,
    yes: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Remove images from a lake, in all its versions, and refuse them from now on.

    Bytes, hashes, embeddings, scores and reports that may show them are removed; this cannot be
    undone. Answers and decisions stay as rows that name the id. Published datasets, exports and
    back-ups are not touched. The next ingest of the same bytes is rejected as forgotten; near
    copies are other images. An interrupted call is completed by the next one.

    Args:
        image_id: Ids of the images, 64 hex digits each.
        lake: Folder of the lake, or its s3:// prefix.
        ids: File with the ids of the images: one per line, or a .csv, .parquet or .jsonl with a
            column image_id, as `assay export` writes it.
        reason: Reason, up to 200 characters; kept in the lake.
        by: Name of the person who asks for it [default: that of the user].
        yes: Confirmation; without it nothing is changed.
        json_: One JSON object on stdout.
        dry_run: Counts of what would be erased; nothing is changed.

    Raises:
        ConfigError: `--yes` is missing, or no image is named.
    """
    from ....data.errors import ConfigError
    from ....tasks.lake import forget as lake_forget
    from ....tasks.publish.ids_file import read_ids
    from ....tasks.similar.index import remove_indexes
    from ..review.reviewer import reviewer_of

    opened = open_lake(lake)
    wanted = [*image_id, *([] if ids is None else read_ids(ids))]
    if dry_run:
        from ...dry_run.forgetting import forget_effects

        print_effects(forget_effects(opened, wanted), as_json=json_)
        return
    if not yes:
        raise ConfigError(
            "forgetting cannot be undone; look at what would be erased with --dry-run, then give"
            " --yes"
        )
    name = reviewer_of(by)
    lake_forget.checked_ids(opened, wanted)
    remove_indexes(opened)
    done = lake_forget.forget(opened, wanted, by=name, reason=reason)
    print(json.dumps(done.to_json()) if json_ else lake_forget.draw(done))  # noqa: T201
