"""History of the tables: their commits, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ...data.schema import TABLES
from ...data.store.lake import Lake
from ...data.store.table_log import Entry, read_entry, versions_of
from ...data.store.tables import FOLDER
from ...data.text.wording import counted
from .restore import RUN_ID

_UNKNOWN: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One commit to a table.

    Attributes:
        table: Name of the table.
        version: Version of the table after the commit.
        at: Time by the writer's clock, UTC; None if unknown.
        what: Purpose: `append`, `columns`, `create`, `compact`, `forget`, `repair` or `restore`.
        run_id: Id of the run that made the commit; None if it names none.
        new_rows: Number of rows that the commit brought; None if unknown.
        files_added: Number of data files added.
        files_removed: Number of data files removed.
    """

    table: str
    version: int
    at: datetime | None
    what: str
    run_id: str | None
    new_rows: int | None
    files_added: int
    files_removed: int

    def to_json(self) -> dict[str, Any]:
        """Return the change as plain values."""
        return asdict(self) | {"at": self.at.isoformat() if self.at else None}


def history(lake: Lake, *, tables: Iterable[str] = TABLES, limit: int = 20) -> list[Change]:
    """Return the latest commits to tables, the newest first.

    Args:
        lake: Lake of the tables.
        tables: Names of the tables.
        limit: Largest number of commits.

    Raises:
        StoreError: A log cannot be read.
    """
    changes = []
    for table in tables:
        folder = f"{FOLDER}/{table}"
        versions = list(versions_of(lake.store, folder))[-limit:] if limit > 0 else []
        changes += [_change(table, read_entry(lake.store, folder, v)) for v in versions]
    changes.sort(key=lambda change: (change.at or _UNKNOWN, change.version), reverse=True)
    return changes[:limit]


def run_of(txns: Iterable[str]) -> str | None:
    """Return the id of the run that transaction ids name; None if they name none."""
    return next((match[0] for txn in txns if (match := RUN_ID.search(txn))), None)


def _change(table: str, entry: Entry) -> Change:
    counts = [file.n_rows for file in entry.added if file.is_new]
    known = [count for count in counts if count is not None]
    return Change(
        table=table,
        version=entry.version,
        at=entry.at,
        what=entry.purpose,
        run_id=run_of(entry.txns),
        new_rows=sum(known) if len(known) == len(counts) else None,
        files_added=len(entry.added),
        files_removed=len(entry.removed),
    )


def draw(changes: Sequence[Change]) -> str:
    """Return changes as text, one line each."""
    if not changes:
        return "no commits"
    rows = [
        (
            f"{change.at:%Y-%m-%d %H:%M:%S}" if change.at else "",
            change.table,
            str(change.version),
            change.what,
            _counts(change),
            change.run_id or "",
        )
        for change in changes
    ]
    head = ("at (UTC)", "table", "version", "what", "change", "run")
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if at == 2 else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def _counts(change: Change) -> str:
    if change.new_rows:
        return f"+{counted(change.new_rows, 'row')}"
    if change.files_added or change.files_removed:
        return f"{counted(change.files_removed, 'file')} to {change.files_added:,}"
    return ""
