"""`assay lake`: check, repair and tidy a lake, and go back to an earlier state of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from ....data.text.wording import counted
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects

EXIT_DAMAGED = 4

TableName = Annotated[
    Literal[
        "images",
        "sightings",
        "scores",
        "views",
        "deliveries",
        "measures",
        "decisions",
        "reviews",
        "golden",
        "appeals",
        "synthetics",
        "audits",
        "known_hashes",
        "calibrations",
        "forgotten",
        "runs",
    ]
    | None,
    Parameter(show_default=False),
]

lake_app = App(name="lake", help="Check, repair, tidy and restore a lake.")


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
    from ....tasks.lake.check import check as check_lake
    from ....tasks.lake.findings import draw

    health = check_lake(open_lake(lake), deep=deep)
    print(json.dumps(health.to_json()) if json_ else draw(health))  # noqa: T201
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
    from ....tasks.lake import repair as lake_repair

    opened = open_lake(lake)
    if dry_run:
        from ....tasks.lake.check import check as check_lake
        from ...dry_run.effects import Effect, Effects

        health = check_lake(opened, deep=True)
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
    from ....data.durations import span_s
    from ....tasks.lake import sweep as lake_sweep

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


@lake_app.command
def measure(*, lake: LakeUri = None, json_: AsJson = False, dry_run: DryRun = False) -> None:
    """Measure the pixels of the images that have no measures yet: detail, colours, PDQ hash.

    Runs and `assay decide` measure by themselves what they decide by. A stopped pass resumes with
    the same command.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        json_: One JSON object on stdout.
        dry_run: Number of images that would be measured; nothing is changed.
    """
    from ....tasks.measures.measures import unmeasured
    from ...deciding.decide_again import measure as measure_all
    from ...dry_run.effects import Effect, Effects
    from ...progress import for_terminal, watched

    opened = open_lake(lake)
    left = unmeasured(opened)
    if dry_run:
        effects = Effects(
            reads=[Effect(left.height, "stored images", opened.uri)],
            writes=[Effect(left.height, "rows of measures", f"{opened.uri}/tables/measures")],
        )
        print_effects(effects, as_json=json_)
        return
    with watched(for_terminal()):
        n_measured = measure_all(opened, left)
    values = {"lake": opened.uri, "measured": n_measured}
    print(json.dumps(values) if json_ else f"measured    {counted(n_measured, 'image')}")  # noqa: T201


@lake_app.command
def compact(*, lake: LakeUri = None, dry_run: DryRun = False, json_: AsJson = False) -> None:
    """Merge the small files of each table into sorted ones of up to 64 MiB.

    Runs do so by themselves where a table has many small files. Rows and older versions stay; the
    merged files remain until a vacuum. Runs may write meanwhile.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        dry_run: Counts of what would be merged; nothing is changed.
        json_: One JSON object on stdout.
    """
    from ....tasks.lake import compact as lake_compact

    done = lake_compact.compact(open_lake(lake), dry_run=dry_run)
    if json_:
        print(json.dumps({"dry_run": dry_run, "compacted": [one.to_json() for one in done]}))  # noqa: T201
        return
    print(lake_compact.draw(done, dry_run=dry_run))  # noqa: T201


@lake_app.command
def vacuum(
    *,
    lake: LakeUri = None,
    older_than: str = "7d",
    published: tuple[Path, ...] = (),
    dry_run: DryRun = False,
    json_: AsJson = False,
) -> None:
    """Remove table files that only older versions need, and the history before them.

    Every version of the last days stays readable, and so do the versions that published datasets
    were read at. Runs may write meanwhile.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        older_than: Age up to which every version stays readable, such as 12h, 7d or 2w; at least
            1h.
        published: Folder of a dataset that assay 0.2.0 or older published, whose versions stay
            readable; later versions record them in the lake. May be repeated.
        dry_run: List of what would be removed; nothing is changed.
        json_: One JSON object on stdout.
    """
    from ....data.durations import span_s
    from ....tasks.lake import sweep as lake_sweep
    from ....tasks.lake import vacuum as lake_vacuum

    removed = lake_vacuum.vacuum(
        open_lake(lake),
        older_than_s=span_s("--older-than", older_than),
        published=published,
        dry_run=dry_run,
    )
    if json_:
        print(json.dumps({"dry_run": dry_run, "vacuumed": [one.to_json() for one in removed]}))  # noqa: T201
        return
    print(lake_sweep.draw(removed, dry_run=dry_run, noun="table files"))  # noqa: T201


@lake_app.command
def history(
    *,
    lake: LakeUri = None,
    table: TableName = None,
    limit: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 20,
    json_: AsJson = False,
) -> None:
    """List the commits to the tables, the newest first: what each changed, and by which run.

    Args:
        lake: Folder of the lake, or its s3:// prefix.
        table: Name of one table [default: all].
        limit: Largest number of commits.
        json_: One JSON object on stdout.
    """
    from ....data.schema import TABLES
    from ....tasks.lake import history as lake_history

    tables = list(TABLES) if table is None else [table]
    changes = lake_history.history(open_lake(lake), tables=tables, limit=limit)
    if json_:
        print(json.dumps({"commits": [change.to_json() for change in changes]}))  # noqa: T201
        return
    print(lake_history.draw(changes))  # noqa: T201


@lake_app.command
def restore(
    to: Annotated[str, Parameter(name="VERSION")],
    *,
    lake: LakeUri = None,
    table: TableName = None,
    dry_run: DryRun = False,
    json_: AsJson = False,
) -> None:
    """Make an earlier state of the lake, or of one table, the current one.

    The restore is a new version: later rows stay readable at their versions until a vacuum, and a
    restore to a time before it undoes it. Without --table, all tables change but `reviews`,
    `golden`, `appeals` and `runs`: what people said and what was done stays. While a run is at
    work, it is refused.

    Args:
        to: Id of a run, for the state after it; a time such as 2026-03-01T12:00, in UTC; a span
            such as 2h before now; or, with --table, a version that `assay lake history` lists.
        lake: Folder of the lake, or its s3:// prefix.
        table: Name of one table.
        dry_run: Counts of rows before and after; nothing is changed.
        json_: One JSON object on stdout.
    """
    from datetime import UTC, datetime

    from ....data.durations import since
    from ....tasks.lake import restore as lake_restore
    from ...dead_runs import require_no_run

    opened = open_lake(lake)
    point: int | str | datetime
    if to.isdecimal():
        point = int(to)
    elif lake_restore.RUN_ID.fullmatch(to):
        point = to
    else:
        point = since("VERSION", to, now=datetime.now(UTC))
    if not dry_run:
        require_no_run(opened)
    done = lake_restore.restore(opened, point, table=table, dry_run=dry_run)
    if json_:
        print(json.dumps({"dry_run": dry_run, "restored": [one.to_json() for one in done]}))  # noqa: T201
        return
    print(lake_restore.draw(done, dry_run=dry_run))  # noqa: T201
