"""Flows of users that are made of the steps, run as they stand in examples/ on a real server."""

import json
import subprocess
import sys
from pathlib import Path

import factories
import httpx
import polars as pl
import pytest
from import_graph import ROOT
from prefect_processes import until

from assay.data.store.lake import Lake

EXAMPLES = ROOT / "examples"
FLOWS = ("filter_and_publish", "nightly_augment", "fan_out")
# One process runs all flows, and counts how often it loads a detector.
SCRIPT = """
import json, shutil, sys
from unittest import mock
from prefect import flow
sys.path.insert(0, sys.argv[1])
from assay.flows import judging
from fan_out import fan_out
from filter_and_publish import filter_and_publish
from nightly_augment import nightly_augment
from assay.flows.tasks import decide, drift, ingest, score
@flow
def compare(folder, lake):
    return drift(decide(score(ingest(folder, lake=lake), detector="mini")), limit=0.5)
with mock.patch.object(judging, "load_detector", wraps=judging.load_detector) as load:
    wide = fan_out("wide", "wide-set", [f"in/{number}" for number in range(10)])
    kept = filter_and_publish("in/0", "lake", "kept")
    report = nightly_augment("plan.toml", "lake")
    first = compare("early", "drifting")
    shutil.copytree("late", "early", dirs_exist_ok=True)
    second = compare("early", "drifting")
    n_loads = load.call_count
print(json.dumps({
    "wide": wide.to_json(), "kept": kept.to_json(),
    "report": report, "n_loads": n_loads,
    "first": first.to_json(), "second": second.to_json(),
}))
"""
PLAN = '[parents]\nchoose = "any"\n[[make]]\nmethod = "launder"\ncondition = ["jpeg-50"]\n'


@pytest.fixture(scope="module")
def done(server, tmp_path_factory):
    """Run the flows over ten folders with two images each, one of which all folders share.

    One more flow sees thirty images of a folder, then thirty of another size.
    """
    url, env = server
    here = tmp_path_factory.mktemp("flows")
    for number in range(10):
        folder = here / "in" / str(number)
        folder.mkdir(parents=True)
        (folder / "shared.jpg").write_bytes(factories.jpeg(seed=99))
        (folder / "own.jpg").write_bytes(factories.jpeg(seed=number))
    (here / "plan.toml").write_text(PLAN)
    for folder, size in (("early", (24, 16)), ("late", (97, 64))):
        (here / folder).mkdir()
        for number in range(30):
            raw = factories.jpeg(seed=1000 + number + size[0], size=size)
            (here / folder / f"{folder}-{number}.jpg").write_bytes(raw)
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(EXAMPLES)],
        env=env,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "Traceback" not in ran.stderr
    runs = httpx.post(f"{url}/task_runs/filter", json={"limit": 200}, timeout=5).json()
    events = until(lambda: events_below(url, here), timeout_s=60, what="the events")
    return here, json.loads(ran.stdout.splitlines()[-1]), runs, events


def events_below(url, here):
    """Return what has happened to the datasets of a folder, once both are published."""
    asked = {"event": {"prefix": ["assay."]}}
    answer = httpx.post(f"{url}/events/filter", json={"filter": asked, "limit": 50}, timeout=10)
    own = [one for one in answer.json()["events"] if str(here) in json.dumps(one)]
    names = [one["event"] for one in own]
    is_whole = names.count("assay.dataset.published") >= 2 and "assay.drift.found" in names
    return own if is_whole else None


@pytest.mark.parametrize("name", FLOWS)
def test_an_example_of_a_flow_is_short(name):
    """A flow of a user's own takes at most 25 lines."""
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) <= 25


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_ten_folders_side_by_side_fill_one_lake_once(done):
    """Each image is stored, scored and decided once, and the detector is loaded once."""
    here, told, *_ = done
    lake = Lake(here / "wide", create=False)
    assert lake.n_rows("sightings") == 20
    for table in ("images", "scores", "decisions"):
        ids = lake.scan(table).select("image_id").collect()["image_id"]
        assert (len(ids), ids.n_unique()) == (11, 11), table
    assert told["n_loads"] == 1
    assert sum(told["wide"]["splits"].values()) == 11
    runs = lake.scan("runs").filter(status="completed").collect()
    assert dict(runs["flow"].value_counts().iter_rows()) == dict.fromkeys(
        ("ingest", "score", "decide"), 10
    )


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_filter_of_the_user_reaches_publish(done):
    """The ids of the user's own task are what is published."""
    here, told, *_ = done
    rows = pl.read_parquet(here / "kept" / "data" / "*.parquet")
    assert rows.height == sum(told["kept"]["splits"].values()) == 2
    lake = Lake(here / "lake", create=False)
    assert set(rows["image_id"]) <= set(lake.scan("images").collect()["image_id"])


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_the_nightly_flow_makes_images_and_reports_on_the_lake(done):
    """Made images are scored, and the report is that of the whole lake."""
    here, told, *_ = done
    lake = Lake(here / "lake", create=False)
    assert lake.n_rows("synthetics") == 2
    assert lake.n_rows("decisions") == 4
    assert Path(told["report"]).is_relative_to(here / "lake" / "reports")


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_steps_are_task_runs_that_name_their_subject(done):
    """The server has a task run per call, named after the source, the batch or the lake."""
    _, _, runs, _ = done
    names = {run["name"] for run in runs}
    assert {"ingest in/0", "augment plan.toml", "score the lake", "decide the lake"} <= names
    assert any(name.startswith("score b-") for name in names)
    assert {run["state_type"] for run in runs if run["name"].startswith("ingest ")} == {"COMPLETED"}


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_steps_in_a_flow_of_the_user_tell_the_server_what_they_did(done):
    """Each batch and each dataset is one event, related to the flow run of the user."""
    here, told, _, events = done
    names = [event["event"] for event in events]
    assert (names.count("assay.batch.ingested"), names.count("assay.dataset.published")) == (13, 2)
    (kept,) = [one for one in events if one["payload"].get("dataset") == str(here / "kept")]
    assert kept["payload"]["splits"] == told["kept"]["splits"]
    assert kept["payload"]["versions"] == told["kept"]["versions"]
    assert any(
        one["prefect.resource.id"].startswith("prefect.flow-run.") for one in kept["related"]
    )


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_step_that_finds_a_drift_tells_the_server(done):
    """The first thirty images have nothing before them; the event has the figures of the others."""
    here, told, runs, events = done
    assert told["first"]["drift"] is None
    drift = told["second"]["drift"]
    assert (drift["images_before"], drift["images_after"]) == (30, 30)
    assert drift["measures"]["width"] == 1.0
    (event,) = [one for one in events if one["event"] == "assay.drift.found"]
    assert event["payload"]["run_id"] == told["second"]["run_id"]
    assert event["payload"]["lake"] == str(here / "drifting")
    assert event["payload"]["measures"] == drift["measures"]
    assert sum(run["name"].startswith("drift b-") for run in runs) == 2
