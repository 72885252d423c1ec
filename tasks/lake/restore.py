"""Restore: the rows of an earlier version of tables become the current ones, by a new version.

Later rows stay readable at their versions until a vacuum, so a restore can itself be undone. What
people said (`reviews`, `golden`, `appeals`) and the record of runs (`runs`) stay as they are,
unless a table is named.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

import polars as pl
import pyarrow.parquet as pq
from deltalake import DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from ...data.commands import command
from ...data.errors import CommitConflict, InputError, MissingVersion, StoreError
from ...data.store.damage import Listed
from ...data.store.erasure.tombstones import TABLE as FORGOTTEN
from ...data.store.files import cannot
from ...data.store.lake import Lake
from ...data.store.table_files import statistics_of
from ...data.store.table_log import RESTORE, REWRITES, entries_of, read_entry, versions_of
from ...data.store.tables import FOLDER
from ...data.store.upkeep.rewrite import add_action, rewrite
from ...data.store.upkeep.table_repair import files_of
from ...data.text.wording import counted

RUN_ID: Final = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")

# Rows about an image go before the image, and come back after it.
_ORDER: Final = (
    *("decisions", "measures", "deliveries", "views", "scores"),
    *("synthetics", "sightings", "images"),
)
# Commits to `runs` searched for the end of a run.
_ENTRIES_OF_END: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did to a table, or would do.

    Attributes:
        table: Name of the table.
        version: Version before the restore.
        restored_version: Version whose rows are the current ones afterwards.
        rows_before: Number of rows before; None if unknown.
        rows_after: Number of rows afterwards; None if unknown.
    """

    table: str
    version: int
    restored_version: int
    rows_before: int | None
    rows_after: int | None

    @property
    def brings_rows(self) -> bool:
        """Whether the table has more rows afterwards."""
        return (self.rows_after or 0) > (self.rows_before or 0)

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Files to exchange in a table, at the version of `base`."""

    base: DeltaTable
    remove: Sequence[Listed]
    add: Sequence[Listed]
    result: Restored


def restore(
    lake: Lake, to: int | str | datetime, *, table: str | None = None, dry_run: bool = False
) -> list[Restored]:
    """Make an earlier state of one table, or of all, the current one.

    A restore that was interrupted is completed by the same call.

    Args:
        lake: Lake of the tables.
        to: Version of the table, id of a run that has ended, for the state after it, or a time.
        table: Name of the table; None for all but those of people and `runs`.
        dry_run: Whether to change nothing and only return what would be changed.

    Returns:
        Tables whose rows change.

    Raises:
        InputError: There is no such run, the run has no end, a version is given for all tables,
            or the table is `forgotten`.
        MissingVersion: The version does not exist, or its files were removed by a vacuum.
        StoreError: The store refused the write, or images are being forgotten.
        CommitConflict: Another process rewrote a table meanwhile.
    """
    if isinstance(to, int):
        if table is None:
            raise InputError(
                f"version {to} is that of one table; name the table, or give the id of a run or a"
                " time for all tables"
            )
        versions: dict[str, int | None] = {table: to}
    else:
        at = end_of_run(lake, to) if isinstance(to, str) else to
        versions = {name: _version_at(lake, name, at) for name in ([table] if table else _ORDER)}
    if FORGOTTEN in versions:
        raise InputError(
            f"{FORGOTTEN} is not restored: it names the images that must not come back"
        )
    if unfinished := lake.tombstones.unfinished():
        raise StoreError(
            f"{lake.uri} is forgetting {counted(len(unfinished), 'image')}, and older versions may"
            f" still have them; complete it with: {command('lake', 'repair', lake=lake.uri)}"
        )
    # All versions are checked before the first table changes.
    plans = [plan for name, version in versions.items() if (plan := _plan(lake, name, version))]
    if any(plan.result.table == "images" and plan.result.brings_rows for plan in plans):
        plans.reverse()
    if not dry_run:
        for plan in plans:
            _commit(lake, plan)
    return [plan.result for plan in plans]


def end_of_run(lake: Lake, run_id: str) -> datetime:
    """Return the time of the commit that recorded the end of a run.

    Raises:
        InputError: There is no such run, or it has no end.
        StoreError: The record cannot be read.
    """
    rows = lake.scan("runs").filter(pl.col("run_id") == run_id)
    ends = rows.select("finished_at").collect()["finished_at"]
    if ends.is_empty():
        raise InputError(f"no run {run_id} in {lake.uri}; `assay runs` lists the runs")
    ended_at = ends.drop_nulls().max()
    if not isinstance(ended_at, datetime):
        raise InputError(f"run {run_id} has not ended; give another run or a time")
    # Recorded just before the commit; times in the log are in milliseconds.
    folder = f"{FOLDER}/runs"
    versions = list(versions_of(lake.store, folder))
    begin = _first_after(lake, "runs", versions, ended_at - timedelta(milliseconds=1))
    for version in versions[begin : begin + _ENTRIES_OF_END]:
        entry = read_entry(lake.store, folder, version)
        if entry.at is not None and any(txn.startswith(f"run:{run_id}:") for txn in entry.txns):
            return entry.at
    return ended_at


def _version_at(lake: Lake, table: str, at: datetime) -> int | None:
    """Return the latest version of a table at a time; None if there is no such table.

    A table that was made later has no rows in its first version.
    """
    versions = list(versions_of(lake.store, f"{FOLDER}/{table}"))
    if not versions:
        return None
    after = _first_after(lake, table, versions, at)
    if after == 0 and versions[0] > 0:
        raise MissingVersion(
            f"the history of {table} begins after {at.isoformat()}, since a vacuum removed what was"
            " before; give a later run or time"
        )
    return versions[max(after - 1, 0)]


def _first_after(lake: Lake, table: str, versions: Sequence[int], at: datetime) -> int:
    """Return the index of the first version after a time, by the clocks of the writers."""

    def time_of(version: int) -> datetime:
        known = read_entry(lake.store, f"{FOLDER}/{table}", version).at
        return known or datetime.min.replace(tzinfo=UTC)

    return bisect_right(versions, at, key=time_of)


def _plan(lake: Lake, table: str, version: int | None) -> _Plan | None:
    """Return the files to exchange; None if the rows are those of the version already."""
    base = None if version is None else lake.tables.open(table)
    if base is None or version is None:
        return None
    now, then = files_of(table, base), files_of(table, lake.tables.at(table, version))
    names_now, names_then = {file.name for file in now}, {file.name for file in then}
    if names_now == names_then or _is_same(lake, table, version, base.version()):
        return None
    add = [file for file in then if file.name not in names_now]
    if lost := next((file for file in add if lake.store.size(file.name) is None), None):
        raise MissingVersion(
            f"{table} cannot be restored to version {version}: {lost.name} was removed, as a vacuum"
            " does; give a later version"
        )
    return _Plan(
        base=base,
        remove=[file for file in now if file.name not in names_then],
        add=add,
        result=Restored(
            table=table,
            version=base.version(),
            restored_version=version,
            rows_before=_n_rows(now),
            rows_after=_n_rows(then),
        ),
    )


def _is_same(lake: Lake, table: str, version: int, latest: int) -> bool:
    """Return whether all commits since a version only merged files, or removed forgotten images.

    Rows about forgotten images are in no file any more, of whatever version.
    """
    entries = entries_of(lake.store, f"{FOLDER}/{table}", version + 1, latest + 1)
    return all(entry.purpose in {*REWRITES, "columns"} for entry in entries)


def _commit(lake: Lake, plan: _Plan) -> None:
    table = plan.result.table
    add = []
    try:
        for file in plan.add:
            with lake.store.open_input(file.name) as opened:
                stats = statistics_of(pq.read_metadata(opened))
                # Other than in the log if images were forgotten since.
                n_bytes = opened.size()
            name = PurePosixPath(file.name).name
            # New, so that a run that looked before the restore takes these rows into account.
            add.append(add_action(name, n_bytes, stats, is_new=True))
        rewrite(
            lake.tables,
            table,
            plan.base,
            remove=[PurePosixPath(file.name).name for file in plan.remove],
            add=add,
            purpose=RESTORE,
            # Writers with rows computed from an earlier version must compute them again.
            txns=[Transaction(lake.tables.exclusive, plan.base.version() + 1)],
        )
    except CommitFailedError as error:
        raise CommitConflict(
            f"{table} was written to during the restore; run the same command again when no run is"
            " at work"
        ) from error
    except (DeltaError, OSError, ValueError) as error:
        address = lake.path(FOLDER, table)
        raise cannot("restore", address, error) from error


def _n_rows(files: Sequence[Listed]) -> int | None:
    counts = [file.n_rows for file in files if file.n_rows is not None]
    return sum(counts) if len(counts) == len(files) else None


def draw(done: Sequence[Restored], *, dry_run: bool) -> str:
    """Return a restore as text, one line per table.

    Args:
        done: Tables whose rows change.
        dry_run: Whether nothing was changed.
    """
    verb = "would restore" if dry_run else "restored"
    if not done:
        return f"{verb}  nothing; the tables have these rows already"
    return "\n".join(
        f"{verb}  {one.table} to version {one.restored_version}:"
        f" {_rows(one.rows_after)} instead of {_number(one.rows_before)}"
        for one in done
    )


def _rows(count: int | None) -> str:
    return "? rows" if count is None else counted(count, "row")


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
