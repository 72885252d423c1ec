"""The runs of a lake: newest first, each once, with what became of it."""

import json
from datetime import timedelta

import lakes
import pytest
from lakes import Shot

from assay.data.store.lake import Lake
from assay.tasks.browse.runs import draw_runs, list_runs


def never(process, started_at):
    """Judge that takes every run to be at work."""


def record(lake, run_id, *, status="running", minutes=0, took_s=None, flow="moderate", **more):
    """Append a row of a run that started some minutes after the first."""
    started = lakes.START + timedelta(minutes=minutes)
    row = {
        "run_id": run_id,
        "flow": flow,
        "status": status,
        "params": json.dumps(more.get("params", {"sources": ["/in"], "batch_id": "b"})),
        "config_sha256": "0" * 64,
        "code_version": "0.1.0",
        "started_at": started,
        "finished_at": None if took_s is None else started + timedelta(seconds=took_s),
        "counts": None if "counts" not in more else json.dumps(more["counts"]),
    }
    assert lake.append("runs", [row], txn=f"{run_id}:{status}:{took_s}")


def test_a_run_is_one_line_with_its_counts(tmp_path):
    """Of the rows at its start and at its end, the end counts."""
    made = lakes.lake_of(
        tmp_path / "lake",
        [Shot(name="a.jpg", prob=0.05), Shot(name="b.jpg", prob=0.99, seed=2)],
        rejected=[("c.jpg", "truncated", "cut")],
        copies=[("d.jpg", "a.jpg")],
    )
    found = list_runs(made.lake, limit=9, why_gone=never)
    (line,) = found.lines
    assert (line.run_id, line.flow, line.status) == (made.run_id, "moderate", "completed")
    assert (line.images, line.rejected, line.seconds) == (3, 1, 12.5)
    assert line.decisions == {"clear": 1, "review": 0, "flag": 1}
    assert line.sources == ("/pictures",)
    assert line.report is None
    assert line.to_json()["finished_at"] == "2026-03-01T12:00:12.500000+00:00"


def test_runs_come_newest_first(tmp_path):
    """A limit cuts the oldest, and the count stays."""
    lake = Lake(tmp_path / "lake")
    for number, run_id in enumerate(("one", "two", "three")):
        record(lake, run_id, minutes=number)
        record(lake, run_id, minutes=number, status="completed", took_s=90, counts={"items": 4})
    found = list_runs(lake, limit=2, why_gone=never)
    assert [line.run_id for line in found.lines] == ["three", "two"]
    assert found.n_runs == 3
    drawn = draw_runs(lake, found, width=None).splitlines()
    assert drawn[1].split() == [
        "three", "2026-03-01", "12:02", "moderate", "completed", "4",
        *"-" * 4, "1", "min", "30", "s", "-", "/in",
    ]  # fmt: skip
    assert drawn[-1] == "2 of 3 runs; --limit shows more"


def test_a_run_without_an_end_runs_or_is_gone(tmp_path):
    """The judge is told its process and its start, and its reason stands below the table."""
    lake = Lake(tmp_path / "lake")
    record(lake, "dead", params={"process": {"pid": 7}})
    record(lake, "alive", minutes=1, params={"process": {"pid": 8}, "sources": []})
    record(lake, "failed", minutes=2, status="failed", took_s=1)

    def gone(process, started_at):
        assert started_at >= lakes.START
        return "its process 7 is gone" if process["pid"] == 7 else None

    found = list_runs(lake, limit=9, why_gone=gone)
    assert [(line.run_id, line.status, line.note) for line in found.lines] == [
        ("failed", "failed", None),
        ("alive", "running", None),
        ("dead", "interrupted", "its process 7 is gone"),
    ]
    drawn = draw_runs(lake, found, width=None)
    assert drawn.splitlines()[-2:] == ["dead: its process 7 is gone", "3 runs"]
    assert "the whole lake" in drawn


def test_the_report_of_a_run_is_an_address(tmp_path):
    """Of a run whose report lies in the lake."""
    lake = Lake(tmp_path / "lake")
    record(lake, "one", status="completed", took_s=1)
    assert list_runs(lake, limit=1, why_gone=never).lines[0].report is None
    report = lake.write("reports/one.html", b"<p>")
    assert list_runs(lake, limit=1, why_gone=never).lines[0].report == report


def test_a_run_over_the_whole_lake_counts_what_it_scored(tmp_path):
    """It has no items; scored, failed and known before are its images."""
    lake = Lake(tmp_path / "lake")
    counts = {"items": 0, "scored": 3, "failed": 1, "already_scored": 6, "rejected": 0}
    record(lake, "s", flow="score", status="completed", took_s=1, params={}, counts=counts)
    assert list_runs(lake, limit=1, why_gone=never).lines[0].images == 10


def test_a_plan_is_the_source_of_a_run(tmp_path):
    """And secrets that older records hold are not shown."""
    lake = Lake(tmp_path / "lake")
    record(lake, "p", flow="augment", params={"plan_id": "0123456789abcdef", "sources": []})
    record(lake, "q", minutes=-1, params={"sources": ["https://me:pw@host.test/a?sig=abc"]})
    record(lake, "r", minutes=-2, params=["no", "object"])
    sources = [line.sources for line in list_runs(lake, limit=9, why_gone=never).lines]
    assert sources == [("plan 0123456789abcdef",), ("https://***@host.test/a?sig=***",), ()]


@pytest.mark.parametrize(
    ("took_s", "text"),
    [(0.25, "0.2 s"), (59.9, "59.9 s"), (61, "1 min 01 s"), (7260, "2 h 01 min")],
)
def test_a_duration_is_in_units_that_a_person_reads(tmp_path, took_s, text):
    """Tenths of seconds, minutes, or hours."""
    lake = Lake(tmp_path / "lake")
    record(lake, "r", status="completed", took_s=took_s, counts={})
    assert f"  {text}  " in draw_runs(lake, list_runs(lake, limit=1, why_gone=never), width=None)


def test_a_lake_without_runs_says_what_to_do(tmp_path):
    """The command that makes the first."""
    lake = Lake(tmp_path / "lake")
    assert draw_runs(lake, list_runs(lake, limit=9, why_gone=never), width=80) == (
        f"{lake.uri} has no runs yet\nnext\n  assay moderate SOURCE --lake {lake.uri}"
    )
