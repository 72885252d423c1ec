"""The stages of a run, told as it reaches them, with and without a limit that it exceeds."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from ingesting import picture, put

from assay.data.errors import InputError, StoreError
from assay.flows.events import run_events
from assay.flows.request import Request
from assay.flows.results.moderation import Moderation, TooManyRejected
from assay.flows.run import run
from assay.flows.steps import Steps


@pytest.fixture
def emitted(monkeypatch: pytest.MonkeyPatch) -> list[run_events.Event]:
    """Return the events that would go to Prefect."""
    events: list[run_events.Event] = []
    monkeypatch.setattr(run_events, "emit", events.append)
    return events


def names(events: list[run_events.Event]) -> list[tuple[str, str | None]]:
    return [(event.name, event.payload.get("status")) for event in events]


def test_a_run_tells_its_stages_and_warns_above_the_limit(
    tmp_path: Path, emitted: list[run_events.Event], caplog: pytest.LogCaptureFixture
) -> None:
    """Ingested, completed and flagged, each with the id of the run's row."""
    put(tmp_path / "in", {"a.png": picture(1), "b.png": picture(2)})
    lake = str(tmp_path / "lake")
    request = Request(lake=lake, sources=(str(tmp_path / "in"),), detector="mini", flagged_limit=0)
    calls = Steps(
        decide=lambda *_: {"clear": 1, "review": 0, "flag": 1}, report=lambda *_: "report.html"
    )
    with (
        caplog.at_level(logging.WARNING, logger="assay"),
        run_events.told(request, "moderate") as tell,
    ):
        result = run(request, calls=calls, tell=tell)
    assert names(emitted) == [
        ("assay.batch.ingested", None),
        ("assay.run.completed", None),
        ("assay.images.flagged", None),
    ]
    assert {event.payload["run_id"] for event in emitted} == {result.run_id}
    assert (emitted[0].payload["items"], emitted[1].payload["scored"]) == (2, 2)
    assert "0.5 of the decided images are flagged; the limit is 0" in caplog.text


def test_a_run_that_fails_tells_what_it_has_committed(
    tmp_path: Path, emitted: list[run_events.Event]
) -> None:
    """Once, with the id of its row; an interrupted one says so."""
    put(tmp_path / "in", {"a.png": picture(1)})
    request = Request(lake=str(tmp_path / "lake"), sources=(str(tmp_path / "in"),))

    def full(*_: object) -> None:
        raise StoreError("the disk is full")

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    for step, error in ((full, StoreError), (stopped, KeyboardInterrupt)):
        with pytest.raises(error), run_events.told(request, "ingest") as tell:
            run(request, flow="ingest", calls=Steps(ingest=step), tell=tell)  # type: ignore[arg-type]
    assert names(emitted) == [
        ("assay.run.failed", "failed"),
        ("assay.run.failed", "interrupted"),
    ]


def test_a_run_that_is_refused_before_its_row_fails_too(
    tmp_path: Path, emitted: list[run_events.Event]
) -> None:
    """A missing source leaves no row in the lake, and still somebody waits for the run."""
    request = Request(lake=str(tmp_path / "lake"), sources=(str(tmp_path / "nowhere"),))
    with pytest.raises(InputError), run_events.told(request, "ingest") as tell:
        run(request, flow="ingest", tell=tell)
    assert names(emitted) == [("assay.run.failed", "refused")]


def test_rejected_items_above_their_limit_complete_the_run_and_send_a_message(
    tmp_path: Path, emitted: list[run_events.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results are committed: the run has completed, and the message names the limit."""
    put(tmp_path / "in", {"a.png": picture(1), "b.png": b"words"})
    request = Request(
        lake=str(tmp_path / "lake"),
        sources=(str(tmp_path / "in"),),
        fail_on_rejected=0.1,
        notify="slack-webhook/oncall",
    )
    sent: list[tuple[object, str]] = []
    monkeypatch.setattr(run_events, "require_block", lambda name: name)
    monkeypatch.setattr(run_events, "notify", lambda *message: sent.append(message))
    with pytest.raises(TooManyRejected), run_events.told(request, "ingest") as tell:
        run(request, flow="ingest", tell=tell)
    assert names(emitted) == [("assay.batch.ingested", None), ("assay.run.completed", None)]
    ((block, words),) = sent
    assert block == "slack-webhook/oncall"
    assert "rejected 1 of 2 items (50.0%), limit 10.0%" in words


def test_a_run_of_other_images_tells_of_its_drift(
    tmp_path: Path, emitted: list[run_events.Event], caplog: pytest.LogCaptureFixture
) -> None:
    """Thirty images of the folder, then thirty of another size; a first run has nothing before."""
    folder = tmp_path / "in"
    request = Request(
        lake=str(tmp_path / "lake"), sources=(str(folder),), detector="mini", drift_limit=0.5
    )
    calls = Steps(report=lambda *_: "report.html")

    def moderated(first: int, size: tuple[int, int]) -> Moderation:
        put(folder, {f"{n}.png": picture(n, size) for n in range(first, first + 30)})
        with run_events.told(request, "moderate") as tell:
            return run(request, calls=calls, tell=tell)

    with caplog.at_level(logging.INFO, logger="assay"):
        assert moderated(0, (24, 16)).drift is None
    assert "drift is not compared: 30 images" in caplog.text
    names_of_first = names(emitted)
    result = moderated(30, (97, 64))
    assert names(emitted)[len(names_of_first) :] == [
        ("assay.batch.ingested", None),
        ("assay.run.completed", None),
        ("assay.drift.found", None),
    ]
    assert result.drift is not None
    assert result.drift.measures["width"] == 1.0
    assert (result.drift.images_before, result.drift.images_after) == (30, 30)
    assert result.to_json()["drift"]["verdict"] == result.drift.verdict
    assert "the limit is 0.5 (drift_limit)" in caplog.text
    assert "drift " in result.summary()


def test_nothing_is_told_of_a_run_that_nobody_follows(tmp_path: Path) -> None:
    """A plain run is what it was."""
    put(tmp_path / "in", {"a.png": picture(1)})
    result = run(
        Request(lake=str(tmp_path / "lake"), sources=(str(tmp_path / "in"),)), flow="ingest"
    )
    assert isinstance(result, Moderation)
    assert result.stored == 1
