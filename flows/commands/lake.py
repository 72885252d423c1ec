"""`assay lake`: check, repair and sweep a lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from .options import AsJson, LakeUri, open_lake

EXIT_DAMAGED = 4

lake_app = App(name="lake", help="Check, repair and sweep a lake.")


@lake_app.command
def check(
    *,
    lake: LakeUri = None,
    deep: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
) -> None:
    """Report the damage of a lake, its effects and the remedy; change nothing.

    The exit code is 4 if anything is damaged.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        deep: Full check: every byte is read, and each image compared with its hash.
        json_: One JSON object on stdout.
    """
    from ...tasks.lake import check as lake_check

    health = lake_check.check(open_lake(lake), deep=deep)
    print(json.dumps(health.to_json()) if json_ else lake_check.draw(health))  # noqa: T201
    if health.damage:
        raise SystemExit(EXIT_DAMAGED)


@lake_app.command
def repair(*, lake: LakeUri = None, json_: AsJson = False) -> None:
    """Restore damaged parts of a lake from its shards and from sources that still exist.

    Every byte of the lake is read. Nothing is deleted: damaged files move to `damaged/` in the
    lake, and items whose bytes cannot be found are recorded as rejected with the reason
    bytes_lost. The exit code is 4 if damage remains.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
    """
    from ...tasks.lake import repair as lake_repair

    told = lake_repair.repair(open_lake(lake))
    print(json.dumps(told.to_json()) if json_ else lake_repair.draw(told))  # noqa: T201
    if told.health is not None and told.health.damage:
        raise SystemExit(EXIT_DAMAGED)


@lake_app.command
def sweep(
    *,
    lake: LakeUri = None,
    older_than: str = "1d",
    reports_older_than: str | None = None,
    published: Path | None = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json_: AsJson = False,
) -> None:
    """Remove unreferenced shards, unfinished files, interrupted publishes and old reports.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        older_than: Minimum age of the files, such as 90m, 12h, 7d or 2w; at least 1h.
        reports_older_than: Minimum age of reports to remove [default: reports are kept].
        published: Folder of a published dataset; its interrupted publishes are removed too.
        dry_run: List of what would be removed; nothing is changed.
        json_: One JSON object on stdout.
    """
    from ...data.durations import span_s
    from ...tasks.lake import sweep as lake_sweep

    swept = lake_sweep.sweep(
        open_lake(lake),
        older_than_s=span_s("--older-than", older_than),
        reports_older_than_s=(
            None
            if reports_older_than is None
            else span_s("--reports-older-than", reports_older_than)
        ),
        published=published,
        dry_run=dry_run,
    )
    if json_:
        print(json.dumps({"dry_run": dry_run, "swept": [one.to_json() for one in swept]}))  # noqa: T201
        return
    print(lake_sweep.draw(swept, dry_run=dry_run))  # noqa: T201
