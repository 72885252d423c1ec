"""Commits of the lake: transactions, versions, and concurrent writers."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lake_rows import ids, review
from processes import PROCESSES

from assay.data.errors import CommitConflict, MissingVersion, StoreError
from assay.data.store.lake import Lake


def test_a_transaction_commits_once(lake: Lake) -> None:
    """A second append with the same id writes nothing and returns False, also from a new Lake."""
    assert lake.append("reviews", [review("a")], txn="t") is True
    assert lake.append("reviews", [review("b")], txn="t") is False
    assert Lake(lake.uri).append("reviews", [review("c")], txn="t") is False
    assert ids(lake) == ["a"]
    assert lake.append("reviews", [], txn="empty") is False
    assert lake.append("reviews", [review("d")], txn="empty") is True


def test_old_versions_stay_readable(lake: Lake) -> None:
    """Version n has the rows of the first n appends; others raise MissingVersion."""
    with pytest.raises(MissingVersion, match="reviews has no version 0; its latest is None"):
        lake.scan("reviews", version=0)
    for name in "abc":
        lake.append("reviews", [review(name)], txn=name)
    assert lake.version("reviews") == 3
    assert [lake.scan("reviews", v).collect().height for v in range(4)] == [0, 1, 2, 3]
    for version in (4, -1):
        with pytest.raises(MissingVersion, match=f"no version {version}; its latest is 3"):
            lake.scan("reviews", version=version)


def test_a_scan_is_pinned_when_it_is_made(lake: Lake) -> None:
    """Rows committed between scan and collect are not included."""
    lake.append("reviews", [review("a")], txn="a")
    scan = lake.scan("reviews")
    lake.append("reviews", [review("b")], txn="b")
    assert scan.collect()["image_id"].to_list() == ["a"]


def test_versions_outlive_a_hundred_commits(lake: Lake) -> None:
    """Checkpoints of the log keep old versions readable."""
    for n in range(120):
        lake.append("reviews", [review(str(n))], txn=str(n))
    assert lake.scan("reviews", version=1).collect()["image_id"].to_list() == ["0"]
    assert lake.append("reviews", [review("again")], txn="0") is False


def test_a_broken_table_is_an_error_of_the_store(lake: Lake) -> None:
    """A broken log is named by scan and by append."""
    lake.append("reviews", [review()], txn="a")
    log = Path(lake.path("tables", "reviews", "_delta_log"))
    for file in log.glob("*.json"):
        file.write_text("nonsense")
    with pytest.raises(StoreError, match=r"cannot read the table .*reviews"):
        lake.scan("reviews")
    with pytest.raises(StoreError, match=r"cannot read the table .*reviews"):
        lake.append("reviews", [review()], txn="b")


def test_an_append_leaves_the_version_that_readers_share(lake: Lake) -> None:
    """A version opened before an append keeps its number and its files."""
    lake.append("reviews", [review("a")], txn="a")
    shared = lake.tables._snapshot("reviews", None)
    assert shared is not None
    files = shared.opened.file_uris()
    assert lake.append("reviews", [review("b")], txn="b", after=1)
    assert (shared.opened.version(), shared.opened.file_uris()) == (1, files)
    assert lake.tables._snapshot("reviews", 1) is not None
    assert ids(lake) == ["a", "b"]


def test_an_append_sees_the_commits_of_others_since_the_kept_version(lake: Lake) -> None:
    """Their transactions are not repeated, and their appends with `after` are respected."""
    other = Lake(lake.uri)
    for name in "abc":
        assert lake.append("reviews", [review(name)], txn=name, after=lake.version("reviews") or 0)
        assert other.append("reviews", [review("-")], txn=name) is False
        assert other.append("reviews", [review(f"{name}2")], txn=f"{name}2")
    assert other.append("reviews", [review("d")], txn="d", after=lake.version("reviews"))
    with pytest.raises(CommitConflict, match="newer than version 6"):
        lake.append("reviews", [review("e")], txn="e", after=6)
    assert lake.append("reviews", [review("e")], txn="e", after=7)


def test_an_append_outlives_the_removal_of_old_entries(lake: Lake) -> None:
    """Entries that a checkpoint replaces may go while a version opened with them is kept."""
    for name in "abc":
        lake.append("reviews", [review(name)], txn=name)
    assert lake.version("reviews") == 3
    other = Lake(lake.uri).tables.open("reviews")
    assert other is not None
    other.create_checkpoint()
    log = Path(lake.path("tables", "reviews", "_delta_log"))
    for version in range(3):
        (log / f"{version:020}.json").unlink()
    assert lake.append("reviews", [review("-")], txn="a") is False
    assert lake.append("reviews", [review("d")], txn="d", after=3)
    assert ids(lake) == ["a", "b", "c", "d"]


def test_an_append_follows_a_table_that_was_put_back(lake: Lake) -> None:
    """An older copy of the table takes the rows that it lacks, though a newer version is kept."""
    folder = Path(lake.path("tables", "reviews"))
    lake.append("reviews", [review("a")], txn="a")
    shutil.copytree(folder, folder.with_name("copy"))
    lake.append("reviews", [review("b")], txn="b")
    assert lake.version("reviews") == 2
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)
    assert lake.append("reviews", [review("-")], txn="a") is False
    assert lake.append("reviews", [review("b")], txn="b") is True
    assert lake.version("reviews") == 2
    assert ids(lake) == ["a", "b"]


def test_the_second_of_two_deciders_must_look_again(lake: Lake) -> None:
    """Rows computed from a version are refused after another append with `after`."""
    assert lake.append("reviews", [review("a")], txn="a", after=0)
    with pytest.raises(CommitConflict, match="newer than version 0"):
        lake.append("reviews", [review("b")], txn="b", after=0)
    assert lake.append("reviews", [review("b")], txn="b", after=1)
    assert lake.append("reviews", [review("plain")], txn="plain")  # takes nobody's place
    assert lake.append("reviews", [review("c")], txn="c", after=2)
    assert lake.append("reviews", [review("again")], txn="a", after=0) is False
    assert ids(lake) == ["a", "b", "c", "plain"]


def test_eight_threads_lose_and_double_nothing(lake: Lake) -> None:
    """All own rows arrive, and one thread commits the shared transaction."""
    start = threading.Barrier(8)

    def write(writer: int) -> int:
        start.wait()
        for n in range(5):
            assert lake.append("reviews", [review(f"{writer}-{n}")], txn=f"{writer}-{n}")
        return lake.append("reviews", [review("shared")], txn="shared")

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert ids(lake) == sorted([f"{w}-{n}" for w in range(8) for n in range(5)] + ["shared"])


def write_beside_others(uri: str, writer: int) -> None:
    """Commit eight rows of its own and eight that all writers try, in a child."""
    lake = Lake(uri)
    for n in range(8):
        assert lake.append("reviews", [review(f"{writer}-{n}")], txn=f"{writer}-{n}")
        lake.append("reviews", [review(f"shared-{n}")], txn=f"shared-{n}")


@pytest.mark.xdist_group("forked")
def test_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    """Four processes create one lake together and share its transactions."""
    uri = str(tmp_path / "lake")
    running = [
        PROCESSES.Process(target=write_beside_others, args=(uri, writer)) for writer in range(4)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(timeout=120)
    assert [process.exitcode for process in running] == [0] * 4
    own = [f"{writer}-{n}" for writer in range(4) for n in range(8)]
    shared = [f"shared-{n}" for n in range(8)]
    assert ids(Lake(tmp_path / "lake", create=False)) == sorted(own + shared)


def test_writing_lets_one_thread_in_and_may_be_nested(lake: Lake) -> None:
    """One thread at a time holds the lock, through one Lake or two."""
    inside, most = 0, 0

    def write(own: Lake) -> None:
        nonlocal inside, most
        with own.writing(), own.writing(), Lake(own.uri).writing():
            inside += 1
            most = max(most, inside)
            time.sleep(0.01)
            inside -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, [lake, Lake(lake.uri)] * 8))
    assert most == 1


def test_writing_waits_for_another_process_and_not_for_a_dead_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for a writing process ends in an error; its death frees the lake."""
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from assay.data.store.lake import Lake\n"
            "with Lake(sys.argv[1]).writing():\n    print('in', flush=True); time.sleep(600)",
            lake.uri,
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        monkeypatch.setattr("assay.data.store.lake.LOCK_TIMEOUT_S", 0.3)
        with pytest.raises(StoreError, match="another process has been writing"), lake.writing():
            pass
    finally:
        holder.kill()
        holder.wait()
    with lake.writing():
        pass
