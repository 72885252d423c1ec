"""The progress of a long run as an artifact."""

import threading

import httpx
import pytest

from assay.flows.flow_runs import progress_page
from assay.flows.flow_runs.progress_page import ProgressPage


@pytest.fixture
def shown(monkeypatch):
    """Yield what the server is told, and an event for each kind of call."""
    calls, made, updated = [], threading.Event(), threading.Event()

    def create(progress, key, description):
        calls.append((key, progress, description))
        made.set()
        return "id"

    def update(_artifact, progress, description):
        calls.append(("update", progress, description))
        updated.set()

    monkeypatch.setattr(progress_page, "create_progress_artifact", create)
    monkeypatch.setattr(progress_page, "update_progress_artifact", update)
    return calls, made, updated


def test_a_long_run_shows_its_share_and_its_rate(shown):
    """The artifact is made once, brought up to date, and complete at the end."""
    calls, made, updated = shown
    page = ProgressPage("assay-x-progress", begin_after_s=0.0, update_every_s=0.01)
    page.begin("score", 200)
    assert made.wait(10)
    page.advance(50)
    updated.clear()
    assert updated.wait(10)
    share, line = page.state()
    assert share == 25.0
    assert line.startswith("score: 50 of 200, ")
    assert line.endswith(" left")
    page.advance(150)
    page.close()
    assert calls[0][0] == "assay-x-progress"
    assert {name for name, *_ in calls[1:]} == {"update"}
    assert calls[-1][1] == 100.0


def test_a_short_run_shows_none(shown):
    """What is over in seconds needs no progress."""
    calls, *_ = shown
    page = ProgressPage("assay-x-progress")
    page.begin("score", 2)
    page.advance(2)
    page.close()
    assert calls == []


def test_a_server_that_refuses_does_not_stop_the_run(monkeypatch):
    """The progress is lost, and the run goes on."""
    asked = threading.Event()

    def refuse(**_):
        asked.set()
        raise httpx.ConnectError("gone")

    monkeypatch.setattr(progress_page, "create_progress_artifact", refuse)
    page = ProgressPage("assay-x-progress", begin_after_s=0.0)
    assert asked.wait(10)
    page.close()
