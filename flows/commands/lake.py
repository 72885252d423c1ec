"""`assay lake`: check, repair and sweep a lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App

from .options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects

EXIT_DAMAGED = 4

lake_app = App(name="lake", help="Check, repair and sweep a lake.")


@lake_app.command
def check(
    *,
    lake: LakeUri = None,
    deep: Annotated[bool, Flag] = False,
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
def repair(*, lake: LakeUri = None, json_: AsJson = False, dry_run: DryRun = False) -> None:
    """Restore damaged parts of a lake from its shards and from sources that still exist.

    Every byte of the lake is read. Nothing is deleted: damaged files move to `damaged/` in the
    lake, and items whose bytes cannot be found are recorded as rejected with the reason
    bytes_lost. The exit code is 4 if damage remains.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
        dry_run: Damaged files and tables by a full check; nothing is changed.
    """
    from ...tasks.lake import repair as lake_repair

    opened = open_lake(lake)
    if dry_run:
        from ...tasks.lake import check as lake_check
        from ..dry_run.effects import Effect, Effects

        health = lake_check.check(opened, deep=True)
        reads = [
            Effect(health.images, "images to check", opened.uri),
            Effect(health.shards, "shards to check", opened.path("shards")),
        ]
        writes = [Effect(1, f"{one.what} to restore", one.where) for one in health.damage]
        print_effects(Effects(reads=reads, writes=writes), as_json=json_)
        return
    report = lake_repair.repair(opened)
    print(json.dumps(report.to_json()) if json_ else lake_repair.draw(report))  # noqa: T201
    if report.health is not None and report.health.damage:
        raise SystemExit(EXIT_DAMAGED)


@lake_app.command
def sweep(
    *,
    lake: LakeUri = None,
    older_than: str = "1d",
    reports_older_than: str | None = None,
    published: Path | None = None,
    dry_run: DryRun = False,
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
