"""Killed at any moment and run again: nothing is lost, nothing is counted or scored twice."""

import itertools
import json
import os
import random
import signal
import sys
import time

import factories
import polars as pl
import pytest
from processes import PROCESSES

from assay.data.store.lake import Lake
from assay.flows.cli import main

pytestmark = pytest.mark.xdist_group("forked")  # one process forks what is killed

N_PICTURES = 6


def command(pictures, out=None, kill=None):
    """Run `assay moderate` in a child, killed at the commit that `kill` names."""
    os.environ |= {"PREFECT_HOME": str(pictures.parent / "prefect"), "HF_HUB_OFFLINE": "1"}
    if kill is not None:
        kill_at_commit(*kill)
    sys.stdout = sys.stderr = (pictures.parent / (out or "ignored")).open("w")
    lake = str(pictures.parent / "lake")
    # The reference backend: measuring others first is not what is tested here.
    model = ["--detector", "mini", "--backend", "torch"]
    main(["moderate", str(pictures), "--lake", lake, *model, "--no-server", "--json"])


def kill_at_commit(method, at, moment):
    """Make this process kill itself just before or after the n-th call of a method of the lake."""
    real, calls = getattr(Lake, method), itertools.count(1)

    def counted(self, *args, **kwargs):
        is_it = next(calls) == at
        if is_it and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(self, *args, **kwargs)
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(Lake, method, counted)


def start(pictures, **how):
    child = PROCESSES.Process(target=command, args=(pictures,), kwargs=how)
    child.start()
    return child


@pytest.fixture
def pictures(tmp_path):
    """Six pictures, one of them twice, and one that is cut off."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(N_PICTURES):
        (folder / f"{seed:02d}.jpg").write_bytes(factories.jpeg(seed=seed))
    (folder / "copy.jpg").write_bytes(factories.jpeg(seed=3))
    (folder / "cut.jpg").write_bytes(factories.jpeg(seed=99)[:500])
    return folder


def finish_and_check(pictures):
    """Run once more, undisturbed, and check every invariant of the lake."""
    child = start(pictures, out="answer.json")
    child.join(timeout=120)
    answer = (pictures.parent / "answer.json").read_text()
    assert child.exitcode == 0, answer
    told = json.loads(answer)
    assert (told["items"], told["stored"], told["duplicates"], told["rejected"]) == (8, 6, 1, 1)
    lake = Lake(pictures.parent / "lake", create=False)
    sightings = lake.scan("sightings").collect()
    assert sightings["source_uri"].n_unique() == sightings.height == 8
    images = lake.scan("images").collect()
    assert images["image_id"].n_unique() == images.height == N_PICTURES
    scores = lake.scan("scores").collect()
    assert sorted(scores["image_id"]) == sorted(images["image_id"])
    assert scores["status"].to_list() == ["scored"] * N_PICTURES
    decisions = lake.scan("decisions").collect()
    assert sorted(decisions["image_id"]) == sorted(images["image_id"])
    # Every row has its bytes, and every shard that is left has its rows once swept.
    assert len(list(lake.images(images["image_id"].to_list()))) == N_PICTURES
    lake.sweep(older_than_s=0)
    named = set(images["shard"])
    there = {f"shards/{path.name}" for path in (pictures.parent / "lake" / "shards").iterdir()}
    assert {name.split("/")[-1] for name in there} == {name.split("/")[-1] for name in named}
    last = lake.scan("runs").sort("started_at", "finished_at").collect().row(-1, named=True)
    assert last["status"] == "completed"
    # Every run but this one was killed or interrupted, and says so.
    ends = lake.scan("runs").filter(pl.col("status") != "running").collect()
    begun = lake.scan("runs").select(pl.col("run_id").unique()).collect()["run_id"]
    assert sorted(ends["run_id"].unique()) == sorted(begun)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("method", "at"),
    [
        ("write_shard", 1),  # bytes
        ("append", 2),  # images
        ("append", 3),  # sightings
        ("append", 4),  # scores
        ("append", 5),  # decisions
        ("append", 6),  # the finished run
    ],
)
def test_killed_at_a_commit_point(pictures, method, at, moment):
    """A kill -9 just before or just after each commit leaves a lake that the next run completes."""
    child = start(pictures, kill=(method, at, moment))
    child.join(timeout=120)
    assert child.exitcode == -signal.SIGKILL
    finish_and_check(pictures)


@pytest.mark.slow
def test_killed_at_random_times(pictures):
    """Several kills in a row, at times nobody chose, and the run after them is whole."""
    rng = random.Random(20261123)
    for _ in range(6):
        child = start(pictures)
        # A run takes half a second to a second on an idle machine.
        child.join(timeout=rng.uniform(0.1, 1.0))
        child.kill()
        child.join(timeout=30)
    finish_and_check(pictures)


@pytest.mark.slow
def test_interrupted_by_the_user_says_so_and_can_go_on(pictures):
    """Ctrl-C ends with code 130 and a sentence; the next run completes the lake."""
    child = start(pictures, out="said")
    lake = pictures.parent / "lake"
    deadline_s = time.monotonic() + 60
    first_commit = lake / "tables" / "runs" / "_delta_log" / f"{0:020}.json"
    while not first_commit.exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    child.join(timeout=60)
    said = (pictures.parent / "said").read_text()
    assert child.exitcode == 130, said
    assert "assay: interrupted: " in said
    assert "the same command " in said
    assert "Traceback" not in said
    finish_and_check(pictures)
    statuses = Lake(lake).scan("runs").select(pl.col("status").unique()).collect()["status"]
    assert "interrupted" in statuses
