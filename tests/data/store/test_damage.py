"""Damage to a lake's tables: detected early, named in one line, and limited by durable writes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assay.data.errors import StoreError, brief
from assay.data.store import damage
from assay.data.store.files import TMP_PREFIX
from assay.data.store.lake import Lake
from assay.flows.cli import main

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def review(image_id: str = "a" * 64) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "label": "real",
        "reviewer": "ann",
        "note": None,
        "reviewed_at": NOW,
    }


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    made.append("reviews", [review(f"{n:064x}") for n in range(50)], txn="1")
    return made


def table(lake: Lake) -> Path:
    return Path(lake.path("tables", "reviews"))


def data_file(lake: Lake) -> Path:
    [file] = table(lake).glob("*.parquet")
    return file


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path, share: float) -> None:
    raw = bytearray(file.read_bytes())
    raw[int(share * len(raw))] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda lake: data_file(lake).unlink(), r"part-\S+\.parquet is missing"),
        (lambda lake: cut(data_file(lake)), r"part-\S+\.parquet has [\d,]+ bytes instead of"),
        (lambda lake: flip(data_file(lake), 0.1), r"parquet was changed since it was written"),
        (lambda lake: flip(data_file(lake), 0.9), r"parquet was changed since it was written"),
        (
            lambda lake: shutil.rmtree(table(lake) / "_delta_log"),
            r"reviews has data files and no log",
        ),
        (
            lambda lake: os.truncate(table(lake) / "_delta_log" / f"{1:020}.json", 0),
            r"1\.json is empty; a commit to this table is lost",
        ),
        (lambda lake: cut(table(lake) / "_delta_log" / f"{1:020}.json"), "cannot read the table"),
        (
            lambda lake: (table(lake) / "_delta_log" / f"{0:020}.json").unlink(),
            "cannot read the table",
        ),
    ],
    ids=["gone", "cut", "flipped", "footer", "no log", "empty entry", "cut entry", "no beginning"],
)
def test_a_damaged_table_is_named_before_it_is_read(
    lake: Lake, harm: Callable[[Lake], None], message: str
) -> None:
    """Each kind of damage gives one line with the file and the command to run."""
    harm(lake)
    with pytest.raises(StoreError, match=message) as caught:
        Lake(lake.uri).scan("reviews")
    assert str(caught.value).endswith(f"assay lake check --lake {lake.uri}")
    assert "\n" not in str(caught.value)


def test_damage_after_the_first_look_is_named_too(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file truncated while a process works is named when its rows are read."""
    monkeypatch.setattr("assay.data.store.kept.file_rows.MAX_FILE_BYTES", 0)  # not read ahead
    rows = lake.scan("reviews")
    cut(data_file(lake))
    with (
        pytest.raises(StoreError, match=r"parquet has [\d,]+ bytes instead of"),
        damage.named(lake.uri),
    ):
        rows.collect()


def test_an_error_that_is_no_damage_stays_what_it_is(lake: Lake) -> None:
    """A query for a missing column keeps its own error."""
    rows = lake.scan("reviews").select("nothing")
    with pytest.raises(pl.exceptions.ColumnNotFoundError), damage.named(lake.uri):
        rows.collect()


def test_the_command_tells_damage_in_one_line(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A panic inside a command ends with exit code 4 and the file's name."""
    monkeypatch.delenv("ASSAY_DEBUG", raising=False)
    monkeypatch.setattr(damage, "MAX_LOOK_FILES", 0)  # as if the lake were large
    runs = {
        "run_id": "r",
        "flow": "moderate",
        "status": "completed",
        "params": "{}",
        "config_sha256": "0",
        "code_version": "1",
        "started_at": NOW,
        "finished_at": NOW,
        "counts": "{}",
    }
    lake.append("runs", [runs], txn="r")
    [file] = Path(lake.path("tables", "runs")).glob("*.parquet")
    raw = file.read_bytes()
    file.write_bytes(b"\xff" * (len(raw) - 8) + raw[-8:])
    with pytest.raises(SystemExit) as stopped:
        main(["report", "--lake", lake.uri])
    assert stopped.value.code == 4
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"assay: {file} was changed since it was written;")


def test_a_commit_is_on_disk_before_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are synced before the log entry, and entry and folders before append returns."""
    lake = Lake(tmp_path / "lake")
    synced: list[Path] = []
    entries: list[int] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        entries.append(len(list(table(lake).glob("_delta_log/*1.json"))))

    monkeypatch.setattr(os, "fsync", fsync)
    lake.append("reviews", [review()], txn="1")
    monkeypatch.undo()
    by_name = dict(zip(synced, entries, strict=True))
    unfinished = [file for file in synced if file.name.startswith(TMP_PREFIX)]
    assert [by_name[file] for file in unfinished] == [0]
    logs = set(table(lake).glob("_delta_log/*.json"))
    assert len(logs) == 2
    assert set(synced) >= logs | {table(lake), table(lake) / "_delta_log", table(lake).parent}


def test_equal_rows_of_two_commits_are_two_files(lake: Lake) -> None:
    """The same rows under another transaction are separate rows."""
    lake.append("reviews", [review(f"{n:064x}") for n in range(50)], txn="2")
    assert lake.scan("reviews").collect().height == 100


def test_errors_of_libraries_are_told_in_one_line() -> None:
    """Colours, Rust frames and notes are removed; the message stays."""
    told = (
        "\x1b[31mGeneric S3 error\x1b[0m: request\nfailed\n   0: <unknown>\n   1: start_thread\n"
        "note: run with RUST_BACKTRACE=1"
    )
    assert brief(OSError(told)) == "Generic S3 error: request failed"
    assert brief(OSError("")) == "OSError"
    dumped = "found gap: ParsedLogPath { location: FileMeta { location: Url { scheme: x } } }"
    assert brief(OSError(dumped)) == "found gap"


@pytest.mark.parametrize("name", ["a^b", "a|b", "a%b", "[a]", "a\\b", "a\nb", "a\x7fb"])
def test_names_that_delta_cannot_hold_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    """The message names the character, and nothing is created."""
    with pytest.raises(StoreError, match="choose another folder name") as caught:
        Lake(tmp_path / name / "lake")
    assert str(caught.value).isprintable()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="choose another folder name"):
        Lake(f"s3://bucket/{name}")


def test_a_name_that_is_not_utf8_is_refused_in_one_line(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are shown escaped."""
    with pytest.raises(StoreError, match=r"l\\udcff' is not valid UTF-8"):
        Lake(tmp_path / os.fsdecode(b"l\xff"))


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a b", "😀", "é#?", "a{b}", "~x", "a:b;c&d=e$"])
def test_other_names_work(tmp_path: Path, name: str) -> None:
    """Folder names with quotes, blanks, signs and emoji work."""
    lake = Lake(tmp_path / name)
    assert lake.append("reviews", [review()], txn="1")
    assert Lake(lake.uri, create=False).scan("reviews").collect().height == 1
