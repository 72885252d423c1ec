"""Runs whose process is gone without a word, closed as interrupted by the next run that sees them.

A run that is killed, or whose machine loses power, stays `running` in the table. Whether it still
lives can be seen on the machine that it runs on alone; of other machines only its age tells.
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

from ..data.store.lake import Lake

# Longer than any run: of a run on another machine, nobody here can see whether it lives.
MAX_AGE: Final = timedelta(days=7)

# Fields 3 and 22 of /proc/PID/stat, counted after the name.
_STATE: Final = 0
_START_TICKS: Final = 19


def this_process() -> dict[str, Any]:
    """Return what tells this process from any other: machine, its start, and the process there.

    What a system does not tell is None. Numbers of processes hold within one space of them: that
    of a container is another than its host's.
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
    """Return why a run cannot be at work any more; None where it may be.

    Args:
        process: What `this_process` gave in that run; empty for runs of older versions.
        started_at: When the run began.
        here: What `this_process` gives here.
        now: Time to count its age to.
    """
    pid, host = process.get("pid"), process.get("host")
    if isinstance(pid, int) and host == here["host"]:
        if all(process.get(name) == here[name] for name in ("boot", "pid_space")):
            if not _lives(pid, process.get("started_ticks")):
                return f"its process {pid} on {host} is gone"
            return None
        machine = process.get("machine")
        if machine and machine == here["machine"] and process.get("boot") != here["boot"]:
            return f"{host} was started anew since"
    if now - started_at > MAX_AGE:
        return f"it began more than {MAX_AGE.days} days ago, and its process cannot be seen here"
    return None


def close_dead_runs(lake: Lake, *, by: str) -> list[str]:
    """Record the runs that cannot be at work any more as interrupted.

    Two that see the same one close it once. A run that was closed for its age and ends all the
    same records its end, which counts.

    Args:
        lake: Lake of the runs.
        by: Id of the run that sees them.

    Returns:
        Their ids.
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
    # Looked at again: one that ended between the two looks has recorded its end by now.
    for row in _open_rows(lake).filter(pl.col("run_id").is_in(list(gone))).iter_rows(named=True):
        params = json.loads(row["params"]) | {"closed": {"by": by, "why": gone[row["run_id"]]}}
        end = {"status": "interrupted", "params": json.dumps(params), "finished_at": now}
        if lake.append("runs", [row | end], txn=f"run:{row['run_id']}:interrupted"):
            closed.append(row["run_id"])
    return closed


def _open_rows(lake: Lake) -> pl.DataFrame:
    """The rows of runs that have no other row than that of their beginning."""
    runs = lake.scan("runs")
    is_open = (pl.col("status") == "running").all()
    ids = runs.group_by("run_id").agg(is_open=is_open).filter("is_open").select("run_id")
    return runs.join(ids, on="run_id", how="semi").unique("run_id", keep="any").collect()


def _lives(pid: int, started_ticks: object) -> bool:
    """Whether a process of this machine is there; where that cannot be told, yes."""
    if os.name == "nt":  # no way to ask without touching the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's process
        pass
    fields = _stat(pid)
    if not fields:
        return True
    # One that ended and that its parent has not asked for yet is still listed.
    has_ended = fields[_STATE] in {"Z", "X"}
    return not has_ended and started_ticks in {None, int(fields[_START_TICKS])}


def _started_ticks(pid: int) -> int | None:
    """When a process began, in ticks since the machine did."""
    fields = _stat(pid)
    return int(fields[_START_TICKS]) if fields else None


def _stat(pid: int) -> list[str]:
    """What the system tells of a process, without its number and name; empty where it does not."""
    # The name may hold blanks and brackets.
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
