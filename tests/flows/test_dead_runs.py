"""Runs whose process is gone are closed as interrupted; those that live, or may, are left alone."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import factories
import ingesting
import pytest

from assay.data.store.lake import Lake
from assay.flows.dead_runs import close_dead_runs, this_process, why_gone
from assay.flows.request import Request
from assay.flows.run import run

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HOUR_AGO = NOW - timedelta(hours=1)
HERE = {
    "host": "anna",
    "machine": "m1",
    "boot": "b1",
    "pid_space": 7,
    "pid": os.getpid(),
    "started_ticks": 5,
}


@pytest.fixture(scope="module")
def ended():
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def row_of(run_id, process, *, started_at, status="running"):
    return {
        "run_id": run_id,
        "flow": "ingest",
        "status": status,
        "params": json.dumps({} if process is None else {"process": process}),
        "config_sha256": "0" * 64,
        "code_version": "0",
        "started_at": started_at,
        "finished_at": None if status == "running" else started_at,
        "counts": None,
    }


def gone(process, started_at=HOUR_AGO):
    return why_gone(process, started_at, here=HERE, now=NOW)


def test_a_process_of_this_machine_is_looked_for(ended):
    """Gone when its number is free, or belongs to one that began at another time."""
    living = HERE | {"started_ticks": this_process()["started_ticks"]}
    assert gone(living) is None
    assert gone(living | {"started_ticks": None}) is None
    assert gone(HERE | {"pid": ended}) == f"its process {ended} on anna is gone"
    if sys.platform == "linux":
        assert "is gone" in gone(living | {"started_ticks": 1})


def test_a_process_that_ended_and_was_not_asked_for_is_gone():
    """As under a container's first process, which asks for nobody."""
    process = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert "is gone" in gone(HERE | {"pid": process.pid, "started_ticks": None})
    process.wait()


def test_a_restart_of_the_machine_ends_all_its_processes():
    """The same machine since another start; two machines of one name are two."""
    assert gone(HERE | {"boot": "b0"}) == "anna has been restarted since"
    assert gone(HERE | {"boot": "b0", "machine": "m2"}) is None
    assert gone(HERE | {"boot": "b0", "machine": None}) is None


@pytest.mark.parametrize(
    "process",
    [{}, HERE | {"host": "berta"}, HERE | {"pid_space": 8}],
    ids=["of an older assay", "on another machine", "in another container"],
)
def test_what_cannot_be_seen_is_judged_by_age_alone(process, ended):
    """Left alone for seven days, also where the number of its process is free here."""
    unseen = process | {"pid": ended} if process else process
    assert gone(unseen, NOW - timedelta(days=6, hours=23)) is None
    assert "more than 7 days ago" in gone(unseen, NOW - timedelta(days=7, hours=1))


def test_the_next_run_closes_those_that_are_gone_once(tmp_path, ended):
    """Two of four runs; their rows say by whom and why, and a second look closes nothing."""
    lake = Lake(tmp_path / "lake")
    now = datetime.now(UTC)
    here = this_process()
    for run_id, process, status in (
        ("killed", here | {"pid": ended}, "running"),
        ("living", here, "running"),
        ("elsewhere", here | {"host": "berta"}, "running"),
        ("done", here | {"pid": ended}, "running"),
        ("done", here | {"pid": ended}, "completed"),
    ):
        row = row_of(run_id, process, started_at=now, status=status)
        lake.append("runs", [row], txn=f"run:{run_id}:{status}")
    old = row_of("old", None, started_at=now - timedelta(days=8))
    lake.append("runs", [old], txn="run:old:running")
    source = ingesting.put(tmp_path / "in", {"a.jpg": factories.jpeg(seed=1)})
    result = run(Request(lake=lake.uri, sources=(str(source),)), flow="ingest")
    rows = lake.scan("runs").filter(status="interrupted").sort("run_id").collect()
    assert rows["run_id"].to_list() == ["killed", "old"]
    assert rows["finished_at"].null_count() == 0
    closed = json.loads(rows["params"][0])["closed"]
    assert closed["by"] == result.run_id
    assert f"process {ended}" in closed["why"]
    assert close_dead_runs(lake, by="another") == []


def test_two_that_see_a_dead_run_close_it_once(tmp_path, ended):
    """Under the transaction under which the run itself would have recorded its end."""
    lake = Lake(tmp_path / "lake")
    row = row_of("killed", this_process() | {"pid": ended}, started_at=datetime.now(UTC))
    lake.append("runs", [row], txn="run:killed:running")
    real = Lake.append

    def append(self, *rows, **more):
        Lake.append = real
        assert close_dead_runs(self, by="second") == ["killed"]
        return real(self, *rows, **more)

    Lake.append = append
    try:
        assert close_dead_runs(lake, by="first") == []
    finally:
        Lake.append = real
    assert lake.scan("runs").filter(status="interrupted").collect().height == 1
