"""What the events of a run say, and which of its stages and limits send one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from import_graph import ROOT
from jinja2 import Environment

from assay.data.errors import ConfigError
from assay.flows.events.event import Event, batch_announced, dataset_published, drift_found
from assay.flows.events.run_events import events_of, message_of
from assay.flows.request import Request
from assay.flows.results.moderation import Moderation
from assay.flows.run import run
from assay.tasks.drift.of_run import RunDrift, SourceDrift
from assay.tasks.publish.publish import PublishResult
from assay.tasks.publish.shortcut_gate import ShortcutFigures

RUN = Moderation(
    run_id="20260101T000000Z-00000000",
    lake="s3://bucket/lake",
    batch_id="b-0123456789abcdef",
    items=10,
    stored=8,
    rejected=2,
    rejected_by_reason={"not_found": 2},
    labels_not_taken={"{{ 7 * 7 }}": 1},
    scored=8,
    decisions={"clear": 4, "review": 1, "flag": 3},
    seconds=1.5,
    example="0" * 64,
    report="s3://bucket/lake/reports/r.html",
    again="assay moderate 'in/{{ 7 * 7 }}.jpg'",
)
PUBLISHED = PublishResult(
    out="/sets/{v1}",
    splits={"train": 8, "test": 2},
    split_note=None,
    labels={"real": 6, "fake": 4},
    groups=9,
    files=("data/train-00000-of-00001.parquet",),
    versions={"images": 3, "reviews": None},
    key=None,
    policy_id=None,
    shortcuts=ShortcutFigures(files=None, aligned=None, is_aligned=False),
    format="hf",
)
DRIFT = RunDrift(
    verdict="other_images",
    measures={"score": 0.31},
    limit=0.1,
    images_before=300,
    images_after=40,
)
SHOP = SourceDrift(
    source="file:///in/{{ 7 * 7 }}",
    verdict="other_encoders",
    measures={"width": 0.9},
    images_before=60,
    images_after=30,
)


def names(stage: Any, request: Request) -> list[str]:
    return [event.name for event in events_of(stage, RUN, request, "moderate")]


def ids(event: Event) -> dict[str, str]:
    """Return the ids that an event names, by kind."""
    values = event.to_json()
    assert all(
        one["prefect.resource.role"] in one["prefect.resource.id"] for one in values["related"]
    )
    every = [values["resource"], *values["related"]]
    known = [one["prefect.resource.id"].split(".", 2) for one in every]
    assert {assay for assay, _, _ in known} == {"assay"}
    return {kind: text for _, kind, text in known}


def test_each_stage_has_its_event() -> None:
    """A limit that is reached but not exceeded adds none."""
    assert names("ingested", Request()) == ["assay.batch.ingested"]
    assert names("failed", Request()) == ["assay.run.failed"]
    assert names("interrupted", Request()) == ["assay.run.failed"]
    assert names("completed", Request()) == ["assay.run.completed"]
    assert names("completed", Request(flagged_limit=3 / 8)) == ["assay.run.completed"]
    assert names("completed", Request(flagged_limit=0.37)) == [
        "assay.run.completed",
        "assay.images.flagged",
    ]


def test_events_have_ids_and_counts_and_no_text_from_outside() -> None:
    """Neither values of labels nor names of sources reach a payload."""
    known = {"run": RUN.run_id, "batch": RUN.batch_id, "lake": RUN.lake}
    stages: tuple[Any, ...] = ("ingested", "completed", "failed")
    for stage in stages:
        for event in events_of(stage, RUN, Request(flagged_limit=0.1), "moderate"):
            assert ids(event) == known
            assert "7 * 7" not in json.dumps(event.to_json())
    completed, flagged = events_of("completed", RUN, Request(flagged_limit=0.1), "moderate")
    assert completed.resource == ("run", RUN.run_id)
    assert completed.payload["decisions"] == RUN.decisions
    assert (completed.payload["items"], completed.payload["rejected"]) == (10, 2)
    assert {name: value for name, value in flagged.payload.items() if name != "flow"} == {
        "run_id": RUN.run_id,
        "batch_id": RUN.batch_id,
        "lake": RUN.lake,
        "flagged": 3,
        "decided": 8,
        "share": 0.375,
        "limit": 0.1,
    }


def test_a_drift_has_an_event_of_its_lake() -> None:
    """With the run in which it was found, and none where nothing has shifted."""
    drifted = replace(RUN, drift=DRIFT)
    completed, event = events_of("completed", drifted, Request(), "moderate")
    assert (completed.name, event.name) == ("assay.run.completed", "assay.drift.found")
    assert ids(event) == {"lake": RUN.lake, "run": RUN.run_id, "batch": RUN.batch_id}
    assert (event.payload["verdict"], event.payload["measures"]) == (
        "other_images",
        {"score": 0.31},
    )
    assert (event.payload["flow"], event.payload["source"]) == ("moderate", None)
    assert (event.payload["limit"], event.payload["groups"]) == (0.1, 1)
    alike = replace(RUN, drift=replace(DRIFT, verdict="none", measures={}))
    assert len(events_of("completed", alike, Request(), "moderate")) == 1


def test_a_drift_names_the_source_that_has_shifted_most() -> None:
    """With its figures, also where all images together have not shifted; no template begins."""
    alike = replace(DRIFT, verdict="none", measures={}, sources=(SHOP, replace(SHOP, source="b")))
    drifted = replace(RUN, drift=alike)
    _, event = events_of("completed", drifted, Request(), "moderate")
    assert event.payload["source"] == "file:///in/%7B{ 7 * 7 }}"
    assert (event.payload["verdict"], event.payload["measures"]) == (
        "other_encoders",
        {"width": 0.9},
    )
    assert (event.payload["images_before"], event.payload["groups"]) == (60, 2)
    words = message_of(drifted, Request())
    assert words is not None
    assert "file:///in/{{ 7 * 7 }}: other encoders" in words
    assert "  file:///in/{{ 7 * 7 }}: other encoders" in drifted.summary()


def test_a_published_dataset_is_named_by_its_place() -> None:
    """With the counts of its splits and labels, and the lake without its login."""
    event = dataset_published(PUBLISHED, lake="s3://KEY:SECRET@bucket/lake")
    assert ids(event) == {"dataset": "/sets/{v1}", "lake": "s3://***@bucket/lake"}
    assert (event.payload["images"], event.payload["groups"]) == (10, 9)
    assert "SECRET" not in json.dumps(event.to_json())


@pytest.mark.parametrize("mark", ["{{ 7 }}", "{% if 1 %}", "{# a #}", "{{{ 7 }}}"])
def test_no_text_of_an_event_begins_a_template(mark: str) -> None:
    """Prefect renders some results of a template again, so the marks are encoded."""
    event = dataset_published(replace(PUBLISHED, out=f"/sets/{mark}"), lake=f"/lakes/{mark}")
    related = [known_by for _, known_by in event.related]
    for text in (event.payload["dataset"], event.payload["lake"], event.resource[1], *related):
        assert Environment(autoescape=True).from_string(text).render() == text
    assert ids(event)["dataset"].startswith("/sets/%7B")


def test_an_announcement_sent_again_is_the_same_event() -> None:
    """Its id is given, so that the server counts it once."""
    event_id = uuid4()
    event = batch_announced(
        "b-1", source="/s/1.txt", prefix="/in", files=2, n_bytes=9, event_id=event_id
    )
    assert event.to_json()["id"] == str(event_id)
    assert event.payload == {
        "batch_id": "b-1",
        "source": "/s/1.txt",
        "prefix": "/in",
        "files": 2,
        "bytes": 9,
    }


def test_a_message_names_each_limit_that_is_exceeded() -> None:
    """And there is none without one."""
    assert message_of(RUN, Request()) is None
    assert message_of(RUN, Request(flagged_limit=0.9, fail_on_rejected=0.2)) is None
    words = message_of(RUN, Request(flagged_limit=0.1, fail_on_rejected=0.1))
    assert words is not None
    assert "flagged 3 of 8 images (37.5%), limit 10.0%" in words
    assert "rejected 2 of 10 items (20.0%), limit 10.0%" in words
    assert RUN.report is not None
    assert RUN.report in words
    words = message_of(replace(RUN, drift=DRIFT), Request())
    assert words is not None
    assert "other images" in words
    assert "(score 0.31); 40 images against 300 earlier ones" in words
    assert "limit 0.1" in words


def test_a_run_without_a_server_refuses_a_notification_block() -> None:
    """A message that nobody would get is no setting to pass over."""
    with pytest.raises(ConfigError, match=r"slack-webhook/oncall.*no server"):
        run(Request(lake="nowhere", notify="slack-webhook/oncall"))
    with pytest.raises(ConfigError, match="TYPE/NAME"):
        Request(notify="oncall")


def test_the_page_names_each_event_with_its_payload() -> None:
    """The table of docs/events.md is what triggers and automations are written from."""
    announced = batch_announced("b", source="s", prefix="p", files=1, n_bytes=1, event_id=uuid4())
    limits = Request(flagged_limit=0.1)
    drifted = drift_found(DRIFT, lake="/lake", limit=0.1)
    events = [announced, dataset_published(PUBLISHED, lake="/lake"), drifted]
    for stage in ("ingested", "completed", "failed"):
        events += events_of(stage, RUN, limits, "moderate")
    page = (ROOT / "docs" / "events.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| `assay.")]
    told = {
        name.strip(" `"): (kind.strip(), set(re.findall(r"`(\w+)`", payload)))
        for name, _, kind, payload in rows
    }
    assert told == {one.name: (one.resource[0], set(one.payload)) for one in events}
