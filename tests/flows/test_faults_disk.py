"""A full disk and a read-only lake, on a real file system of a few megabytes."""

import contextlib
import io
import subprocess
from pathlib import Path

import factories
import polars as pl
import pytest
from processes import forked
from small_disk import fill, mounted

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.lake.check import check

pytestmark = pytest.mark.xdist_group("forked")

N = 4
MODEL = ("--detector", "mini", "--backend", "torch", "--no-server")


def assay(*words):
    """Run the command in this process; return its exit code and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            return end.code, said.getvalue()
    return 0, said.getvalue()


@contextlib.contextmanager
def full_at(disk, method, *arguments):
    """Fill the disk at the first call of a method of the lake with these first arguments."""
    real = getattr(Lake, method)

    def called(lake, *given, **more):
        if given[: len(arguments)] == arguments:
            fill(disk)
        return real(lake, *given, **more)

    setattr(Lake, method, called)
    try:
        yield
    finally:
        setattr(Lake, method, real)
        (disk / "ballast").unlink()


def on_a_full_disk(source, disk):
    """Return the ends of four runs, the first three on a disk that is full at some write."""
    if not mounted(disk):
        return None
    lake = disk / "lake"
    moderate = ("moderate", source, "--lake", lake, *MODEL)
    ends = []
    for method, *arguments in (("write_shard",), ("append", "scores"), ("write",)):
        with full_at(disk, method, *arguments):
            ends.append(assay(*moderate))
    ends.append(assay(*moderate))
    opened = Lake(lake, create=False)
    rows = {name: opened.scan(name).collect() for name in ("sightings", "images", "scores")}
    distinct = {
        name: (table.height, table[column].n_unique())
        for (name, table), column in zip(
            rows.items(), ("source_uri", "image_id", "image_id"), strict=True
        )
    }
    statuses = opened.scan("runs").filter(pl.col("status") != "running").collect()["status"]
    return ends, distinct, check(opened, deep=True).damage, statuses.to_list()


def on_a_read_only_disk(source, disk):
    """Return the ends of commands that read and of commands that write, in a moved lake."""
    if not mounted(disk):
        return None
    assay("moderate", source, "--lake", disk / "made", *MODEL)
    (disk / "made").rename(disk / "lake")
    lake = ("--lake", disk / "lake")
    image_id = Lake(disk / "lake").scan("images").collect()["image_id"][0]
    (source / "new.jpg").write_bytes(factories.jpeg(seed=N))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    reads = [
        ("ls", *lake),
        ("runs", *lake),
        ("show", image_id, *lake),
        ("query", "select count(*) from scores", *lake),
        ("report", "--out", source.parent / "report.html", *lake),
        ("export", "--to", source.parent / "rows.csv", *lake),
        ("similar", image_id, *lake),
        ("lake", "check", "--deep", *lake),
        ("lake", "sweep", "--dry-run", *lake),
        ("lake", "vacuum", "--dry-run", *lake),
        ("moderate", source, "--dry-run", *lake, *MODEL),
    ]
    writes = [
        ("moderate", source, *lake, *MODEL),
        ("report", *lake),
        ("lake", "compact", *lake),
        ("lake", "sweep", *lake),
        ("lake", "restore", "1h", *lake),
        ("moderate", source, "--lake", disk / "other", *MODEL),
    ]
    return [[(words, *assay(*words)) for words in each] for each in (reads, writes)]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "in").mkdir()
    for n in range(N):
        (tmp_path / "in" / f"{n}.jpg").write_bytes(factories.jpeg(seed=n))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "disk"


def test_a_full_disk_is_one_line_and_costs_nothing_once_there_is_room(disk):
    """At a shard, at a commit and at the report: exit code 4; the next run goes on."""
    ran = forked(on_a_full_disk, disk.with_name("in"), disk)
    if ran is None:
        pytest.skip("this user may mount no file system")
    ends, distinct, damage, statuses = ran
    *failed, (code, said) = ends
    for (failed_code, message), place in zip(
        failed, ("shards/", "tables/scores", "reports/"), strict=True
    ):
        assert failed_code == 4, message
        assert f"{disk / 'lake'}/{place}" in message
        assert "make room there and run the same command again" in message
        assert message.count("\n") == 1
        assert ".tmp-" not in message
    assert code == 0, said
    assert distinct == dict.fromkeys(("sightings", "images", "scores"), (N, N))
    assert damage == []
    assert statuses[-1] == "completed"


def test_a_moved_lake_that_is_read_only_is_read_and_not_written(disk):
    """Commands that read work; those that write end with 4, the lake and what to do."""
    ran = forked(on_a_read_only_disk, disk.with_name("in"), disk)
    if ran is None:
        pytest.skip("this user may mount no file system")
    reads, writes = ran
    assert [(words, said) for words, code, said in reads if code != 0] == []
    assert str(Path("made")) not in reads[1][2]
    assert f"{disk}/lake/reports/" in reads[1][2]
    for words, code, said in writes:
        assert code == 4, (words, said)
        assert str(disk) in said
        assert "mount it for writing" in said
        assert said.count("\n") == 1
