"""Runs whose process has died without a record; the next run closes them as interrupted.

A run that is killed, or whose machine loses power, stays `running` in the table. Its process can be
checked on its own machine only; runs of other machines are judged by their age.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from ..data.errors import StoreError
from ..data.store.lake import Lake

# Longer than any run, since the process of a run on another machine cannot be checked.
MAX_AGE: Final = timedelta(days=7)

# Fields 3 and 22 of /proc/PID/stat, counted after the name.
_STATE: Final = 0
_START_TICKS: Final = 19


def this_process() -> dict[str, Any]:
    """Return the identity of this process: machine, boot, process namespace, pid and start time.

    Unknown parts are None. Process ids are unique within one namespace, and a container has its
    own.
    """
    return {
        "host": socket.gethostname(),
        "machine": _text("/etc/machine-id"),
        "boot": _text("/proc/sys/kernel/random/boot_id"),
        "pid_space": _pid_space(),
        "pid": os.getpid(),
        "started_ticks": _started_ticks(os.getpid()),
    }


def why_gone(
    process: Mapping[str, Any], started_at: datetime, *, here: Mapping[str, Any], now: datetime
) -> str | None:
    """Return why a run cannot be active any more; None if it may be.

    Args:
        process: Identity of the run's process by `this_process`; empty for older versions.
        started_at: Start of the run.
        here: Identity of the current process.
        now: Current time.
    """
    pid, host = process.get("pid"), process.get("host")
    if isinstance(pid, int) and host == here["host"]:
        if all(process.get(name) == here[name] for name in ("boot", "pid_space")):
            if not _lives(pid, process.get("started_ticks")):
                return f"its process {pid} on {host} is gone"
            return None
        machine = process.get("machine")
        if machine and machine == here["machine"] and process.get("boot") != here["boot"]:
            return f"{host} has been restarted since"
    if now - started_at > MAX_AGE:
        return f"it began more than {MAX_AGE.days} days ago, and its process cannot be checked"
    return None


def close_dead_runs(lake: Lake, *, by: str) -> list[str]:
    """Record the runs that cannot be active any more as interrupted.

    Concurrent calls close a run once. A run that was closed for its age but ends later records its
    end, which then applies.

    Args:
        lake: Lake of the runs.
        by: Id of the run that closes them.

    Returns:
        Ids of the closed runs.
    """
    here, now = this_process(), datetime.now(UTC)
    gone: dict[str, str] = {}
    for row in _open_rows(lake).iter_rows(named=True):
        process = json.loads(row["params"]).get("process") or {}
        if why := why_gone(process, row["started_at"], here=here, now=now):
            gone[row["run_id"]] = why
    if not gone:
        return []
    closed = []
    # Read again, since a run may have recorded its end in the meantime.
    for row in _open_rows(lake).filter(pl.col("run_id").is_in(list(gone))).iter_rows(named=True):
        params = json.loads(row["params"]) | {"closed": {"by": by, "why": gone[row["run_id"]]}}
        end = {"status": "interrupted", "params": json.dumps(params), "finished_at": now}
        if lake.append("runs", [row | end], txn=f"run:{row['run_id']}:interrupted"):
            closed.append(row["run_id"])
    return closed


def require_no_run(lake: Lake) -> None:
    """Refuse a lake in which a run is at work.

    Raises:
        StoreError: A run has recorded no end, and its process may be alive.
    """
    here, now = this_process(), datetime.now(UTC)
    for row in _open_rows(lake).iter_rows(named=True):
        process = json.loads(row["params"]).get("process") or {}
        if why_gone(process, row["started_at"], here=here, now=now) is None:
            raise StoreError(
                f"run {row['run_id']} is at work in {lake.uri} since"
                f" {row['started_at']:%Y-%m-%d %H:%M} UTC; wait for it, or stop it"
            )


def _open_rows(lake: Lake) -> pl.DataFrame:
    """Return the rows of runs that have recorded their start only."""
    is_open = (pl.col("status") == "running").all()
    ids = lake.scan("runs").group_by("run_id").agg(is_open=is_open).filter("is_open").collect()
    # A run may have recorded its end between the two reads.
    rows = lake.rows_of("runs", ids["run_id"], column="run_id").collect()
    ended = rows.filter(pl.col("status") != "running").select("run_id")
    return rows.join(ended, on="run_id", how="anti").unique("run_id", keep="any")


def _lives(pid: int, started_ticks: object) -> bool:
    """Return whether a process of this machine exists; True if that is unknown."""
    if os.name == "nt":  # a signal of 0 would end the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # a process of another user
        pass
    fields = _stat(pid)
    if not fields:
        return True
    # A zombie is still listed.
    has_ended = fields[_STATE] in {"Z", "X"}
    return not has_ended and started_ticks in {None, int(fields[_START_TICKS])}


def _started_ticks(pid: int) -> int | None:
    """Return the start of a process in clock ticks since boot, or None."""
    fields = _stat(pid)
    return int(fields[_START_TICKS]) if fields else None


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; empty if unavailable."""
    # The name may contain spaces and parentheses.
    fields = (_text(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return fields if len(fields) > _START_TICKS else []


def _pid_space() -> int | None:
    try:
        return os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a link whose target is no path
    except OSError:
        return None


def _text(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
