"""`assay lake compact | vacuum | history | restore`: options in, text or one JSON object out."""

from __future__ import annotations

import datetime
import json
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lake_rows import ids, review

from assay.data.errors import ConfigError, StoreError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.flows.commands.keeping.lake import TableName, compact, history, restore, vacuum
from assay.flows.dead_runs import this_process


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    for name in "ab":
        lake.append("reviews", [review(name)], txn=name)
    return lake


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def run(command: Callable[..., None], *arguments: object, **options: Any) -> dict[str, Any]:
        command(*arguments, json_=True, **options)
        parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
        return parsed

    return run


def test_the_verbs_say_what_they_did_as_json(
    lake: Lake, answer: Callable[..., dict[str, Any]]
) -> None:
    """Each prints one JSON object, with or without a change."""
    assert answer(compact, lake=lake.uri, dry_run=True)["compacted"][0]["files_after"] == 1
    assert answer(compact, lake=lake.uri)["dry_run"] is False
    assert answer(vacuum, lake=lake.uri) == {"dry_run": False, "vacuumed": []}
    [merge, *_] = answer(history, lake=lake.uri, table="reviews")["commits"]
    assert (merge["what"], merge["files_removed"]) == ("compact", 2)
    done = answer(restore, "1", lake=lake.uri, table="reviews")["restored"]
    assert [(one["rows_before"], one["rows_after"]) for one in done] == [(2, 1)]
    assert ids(lake) == ["a"]


def test_a_restore_waits_for_no_run_and_guesses_no_point(lake: Lake) -> None:
    """A run at work, and a text that is no run, time or version, are refused by name."""
    with pytest.raises(ConfigError, match="VERSION is 'soon'"):
        restore("soon", lake=lake.uri)
    row = {
        "run_id": "20260102T030405Z-00000001",
        "flow": "moderate",
        "status": "running",
        "params": json.dumps({"process": this_process()}),
        "config_sha256": "0",
        "code_version": "1",
        "started_at": datetime.datetime.now(datetime.UTC),
        "finished_at": None,
        "counts": None,
    }
    lake.append("runs", [row], txn="run")
    with pytest.raises(StoreError, match="run 20260102T030405Z-00000001 is at work"):
        restore("1", lake=lake.uri, table="reviews")
    restore("1", lake=lake.uri, table="reviews", dry_run=True)
    assert ids(lake) == ["a", "b"]


def test_every_table_of_the_schema_can_be_named():
    """The command's list is written out, since `--help` loads no schema."""
    choices, _ = typing.get_args(typing.get_args(TableName)[0])
    assert list(typing.get_args(choices)) == list(TABLES)
