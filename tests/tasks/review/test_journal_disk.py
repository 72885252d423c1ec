"""The journal on a full disk and on a read-only one, on a real file system of a few megabytes."""

import contextlib
import subprocess

import pytest
from processes import forked
from reviewing import answer, image_ids, images_lake
from small_disk import fill, mounted

from assay.data.errors import StoreError
from assay.data.store.lake import Lake
from assay.tasks.review.answers import settle, standing_answers
from assay.tasks.review.journal import Journal

pytestmark = pytest.mark.xdist_group("forked")

A, B, C = image_ids(3)


def message_of(work, *arguments):
    """Return the text of the StoreError that some work ends with."""
    with contextlib.suppress(StoreError):
        return work(*arguments)
    try:
        work(*arguments)
    except StoreError as error:
        return str(error)


def on_a_full_disk(disk):
    """Return what a writer is told, and the answers that are there once there is room again."""
    if not mounted(disk):
        return None
    lake = images_lake(disk / "lake")
    with Journal(lake, fold_after_s=3600) as journal:
        journal.record([answer(A)])
        fill(disk)
        many = [answer(B, note="x" * 5_000, reviewer=f"r{n}") for n in range(200)]
        said = [message_of(journal.record, many), message_of(journal.fold)]
        (disk / "ballast").unlink()
        journal.record([answer(C)])
    rows = lake.scan("reviews").collect()
    return said, sorted(rows["image_id"])


def test_a_full_disk_loses_no_answer_and_says_what_to_do(tmp_path):
    """What was refused is not there, and what was recorded is, once there is room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    ran = forked(on_a_full_disk, disk)
    if ran is None:
        pytest.skip("a file system cannot be mounted here")
    said, image_ids_there = ran
    for text in said:
        assert "No space left on device" in text
        assert "; make room there" in text
    assert image_ids_there == sorted([A, C])


def on_a_read_only_disk(disk, killed):
    """Return what readers see of waiting answers on a disk that cannot be written any more."""
    if not mounted(disk):
        return None
    lake = images_lake(disk / "lake")
    journal = Journal(lake, fold_after_s=3600)
    bytes_before = journal.path.read_bytes()
    journal.record([answer(A, "real"), answer(B)])
    kept = {file: file.read_bytes() for file in journal.path.parent.glob("*-wal")}
    journal._connection.close()
    if killed:  # the end of a process removes the file that a kill leaves
        journal.path.write_bytes(bytes_before)
        for file, raw in kept.items():
            file.write_bytes(raw)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    opened = Lake(disk / "lake", create=False)
    rows = standing_answers(opened).select("image_id", "label").collect().rows()
    return sorted(rows), settle(opened), message_of(Journal, opened)


@pytest.mark.parametrize("killed", [False, True])
def test_waiting_answers_of_a_read_only_lake_are_read_and_stay(tmp_path, killed):
    """They count, are not moved, and a writer is told that it cannot write."""
    disk = tmp_path / "disk"
    disk.mkdir()
    ran = forked(on_a_read_only_disk, disk, killed)
    if ran is None:
        pytest.skip("a file system cannot be mounted here")
    rows, n_settled, said = ran
    assert rows == sorted([(A, "real"), (B, "fake")])
    assert n_settled == 0
    assert "give this user permission to read and write" in said or "Read-only" in said
