"""Deployments on a real server, taken by a real worker."""

import json
import os
import subprocess
import sys

import factories
import httpx
import pytest
from import_graph import ROOT
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect_processes import process, until

from assay.data.errors import ConfigError, StoreError
from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.publish import publish
from assay.flows.request import Request
from assay.flows.serving.deployment import ENTRYPOINTS
from assay.flows.serving.serve import _require_free
from assay.flows.start import start
from assay.version import __version__

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]


@pytest.fixture
def deployed(server, tmp_path, monkeypatch, capsys):
    """Return a function that runs `assay deploy` on the server, from a folder with two images."""
    url, _ = server
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.jpg").write_bytes(factories.jpeg(seed=1))
    (tmp_path / "pictures" / "b.png").write_bytes(factories.png(seed=2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", url)

    def deploy(*words):
        with temporary_settings({PREFECT_API_URL: url}):
            main(["deploy", *words, "--json"])
        return json.loads(capsys.readouterr().out)

    return deploy


def deployment(url, name):
    """Return a deployment of the server."""
    return httpx.get(f"{url}/deployments/name/{name}", timeout=10).raise_for_status().json()


def flow_run_of(url, deployment_id):
    """Return a new flow run; Prefect's own client tries again too when a busy server says 503."""

    def created():
        answer = httpx.post(
            f"{url}/deployments/{deployment_id}/create_flow_run", json={}, timeout=30
        )
        return None if answer.status_code == 503 else answer.raise_for_status().json()

    return f"{url}/flow_runs/{until(created, timeout_s=60, what='a flow run')['id']}"


def tasks_of_last(url, flow):
    """Return the completed task runs of a flow's last run; Prefect records them a little later."""
    asked = {
        "flows": {"name": {"any_": [flow]}},
        # What schedules of deployments have planned may be on the server too.
        "flow_runs": {"deployment_id": {"is_null_": True}},
        "sort": "START_TIME_DESC",
        "limit": 1,
    }
    [run] = httpx.post(f"{url}/flow_runs/filter", json=asked, timeout=10).json()
    assert run["state_type"] == "COMPLETED"
    asked = {
        "flow_runs": {"id": {"any_": [run["id"]]}},
        "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
    }
    return httpx.post(f"{url}/task_runs/filter", json=asked, timeout=10).json()


def test_a_worker_runs_what_was_deployed(server, deployed, tmp_path):
    """The pool is made, the run scores both images, and a second deployment replaces the first."""
    url, env = server
    words = ("moderate", "pictures", "--lake", "lake", "--detector", "mini", "--pool", "new-pool")
    first = deployed(*words, "--interval", "6h", "--timezone", "Europe/Berlin")
    assert (first["created"], first["pool_type"], first["pool_created"]) == (True, "process", True)
    known = deployment(url, first["deployment"])
    assert known["entrypoint"] == ENTRYPOINTS["moderate"]
    assert (known["version"], known["tags"]) == (__version__, ["assay", "moderate"])
    assert known["parameters"]["sources"] == [str(tmp_path / "pictures")]
    assert known["schedules"][0]["schedule"]["interval"] == 6 * 3600
    assert known["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    shown = known["parameter_openapi_schema"]["properties"]
    assert shown["precision"]["enum"][0] == "auto"
    assert shown["domain"]["description"]
    again = deployed(*words, "--on-collision", "cancel-new")
    assert (again["created"], again["pool_created"]) == (False, False)
    assert again["deployment_id"] == first["deployment_id"] == known["id"]
    known = deployment(url, first["deployment"])
    assert known["schedules"] == []
    assert known["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(ConfigError, match="work pool 'new-pool'"),
    ):
        _require_free(known["name"], known["parameters"])

    # The printed commands are the ones that start the worker and the run.
    worker, run = (line.split() for line in again["next"])
    assert run[-3:] == ["deployment", "run", first["deployment"]]
    started = flow_run_of(url, known["id"])

    def ended():
        state = httpx.get(started, timeout=10).json()["state"]
        return state if state["type"] in {"COMPLETED", "FAILED", "CRASHED"} else None

    log = tmp_path / "worker.log"
    command = ["prefect", *worker[worker.index("worker") :]]
    with process(command, env={**env, "PREFECT_WORKER_QUERY_SECONDS": "1"}, log=log):
        state = until(ended, timeout_s=150, what="the flow run")
    assert state["type"] == "COMPLETED", (state, log.read_text())
    scores = Lake(tmp_path / "lake", create=False).scan("scores").collect()
    assert scores["status"].to_list() == ["scored", "scored"]


def test_a_run_that_is_cancelled_ends_as_cancelled_and_interrupted(server, deployed, tmp_path):
    """The worker passes the cancellation on; the run commits what is done and records its end."""
    url, env = server
    for number in range(400):
        (tmp_path / "pictures" / f"{number:03}.jpg").write_bytes(factories.jpeg(seed=number))
    told = deployed(
        *("moderate", "pictures", "--lake", "lake", "--detector", "mini", "--pool", "here"),
        *("--name", "cancelled"),
    )
    run = flow_run_of(url, told["deployment_id"])

    def statuses():
        try:
            rows = Lake(tmp_path / "lake", create=False).scan("runs").collect()
        except StoreError:  # not there yet
            return []
        return rows.sort("finished_at", nulls_last=False)["status"].to_list()

    def ended():
        state = httpx.get(run, timeout=10).json()["state"]
        return state if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    log = tmp_path / "worker.log"
    worker = told["next"][0].split()
    command = ["prefect", *worker[worker.index("worker") :]]
    with process(command, env={**env, "PREFECT_WORKER_QUERY_SECONDS": "1"}, log=log):
        until(statuses, timeout_s=150, what="the run's row")
        cancelling = {"state": {"type": "CANCELLING"}, "force": True}
        httpx.post(f"{run}/set_state", json=cancelling, timeout=10).raise_for_status()
        state = until(ended, timeout_s=100, what="the end of the flow run")
        assert state["type"] == "CANCELLED", (state, log.read_text())
        until(lambda: len(statuses()) > 1, timeout_s=60, what="the last row of the run")
    assert statuses() == ["running", "interrupted"]


def test_score_and_publish_are_flows_of_their_own(server, deployed, tmp_path):
    """Their steps are tasks of one flow run each, and they return what the commands print."""
    url, _ = server
    lake = str(tmp_path / "lake")
    start(Request(sources=(str(tmp_path / "pictures"),), lake=lake), "ingest", quiet=True)
    # Lines of the log are sent from a thread that would outlive the server.
    with temporary_settings({PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}):
        scored = start(Request(lake=lake, detector="mini"), "score", server=True, quiet=True)
        published = publish(to=str(tmp_path / "data"), lake=lake, where="width_px > 0")
        again = publish(to=str(tmp_path / "again"), from_lock=str(tmp_path / "data"))
    assert (scored.scored, scored.failed) == (2, 0)
    assert sum(published["splits"].values()) == 2
    assert (tmp_path / "data" / "README.md").is_file()
    assert again == published | {"out": str(tmp_path / "again")}
    locks = [(tmp_path / name / "VERSIONS.lock").read_bytes() for name in ("data", "again")]
    assert locks[0] == locks[1]
    runs = httpx.post(f"{url}/flow_runs/filter", json={}, timeout=10).json()
    assert any(one["name"].startswith("publish data 20") for one in runs)
    told = httpx.post(f"{url}/artifacts/filter", json={}, timeout=10).json()
    told = [one["data"] for one in told if one["key"] == "assay-publish"]
    [shown] = [data for data in told if f"`{tmp_path / 'data'}`" in data]
    assert f"# Dataset of 2 images\n\n`{tmp_path / 'data'}`, a folder on" in shown
    assert "| label | rows |" in shown
    for name in ("assay-score", "assay-publish"):
        assert until(lambda name=name: tasks_of_last(url, name), timeout_s=60, what=name)


def test_the_pools_of_containers_and_the_other_flows(server, deployed, capsys):
    """An image goes to the pool's jobs; a pool of another type and a missing image are refused."""
    url, _ = server
    box = ("--pool", "box", "--pool-type", "docker", "--lake", "s3://bucket/lake")
    made = deployed("score", *box, "--image", "registry/assay:1", "--cron", "0 2 * * *")
    assert made["pool_type"] == "docker"
    known = deployment(url, made["deployment"])
    assert known["job_variables"] == {"image": "registry/assay:1"}
    assert known["parameters"] == {"lake": "s3://bucket/lake"}
    assert "sources" not in known["parameter_openapi_schema"]["properties"]
    for words, said in (
        (("score", *box), "need an image"),
        (("score", "--pool", "box"), "pass --pool-type docker"),
        (("score", "--pool", "box", "--pool-type", "process"), "is of type docker, not process"),
        (("score", "--pool", "new", "--pool-type", "nothing"), "knows no work pools"),
    ):
        with pytest.raises(SystemExit) as refused:
            deployed(*words)
        assert refused.value.code == 2
        assert said in capsys.readouterr().err


def test_the_deployment_file_deploys_without_a_question(server, deployed, tmp_path):
    """`prefect deploy --all` registers each flow and trigger, with no folder to start in."""
    url, env = server
    deployed("publish", "--to", "data", "--lake", "lake", "--pool", "default")
    (tmp_path / "prefect.yaml").write_bytes((ROOT / "prefect.yaml").read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        env=env | {"COLUMNS": os.environ.get("COLUMNS", "200")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = ("moderate/hourly", "score/nightly", "augment/weekly", "publish/weekly-dataset")
    for name in names:
        known = deployment(url, f"assay-{name}")
        assert (known["version"], known["pull_steps"]) == (__version__, [])
        assert known["entrypoint"] in ENTRYPOINTS.values()
        assert known["schedules"]
    announced = deployment(url, "assay-moderate/announced")
    related = f"{url}/automations/related-to/prefect.deployment.{announced['id']}"
    (automation,) = httpx.get(related, timeout=10).raise_for_status().json()
    assert automation["trigger"]["expect"] == ["assay.batch.announced"]
    (action,) = automation["actions"]
    assert action["parameters"] == {"sources": ["{{ event.payload.source | string }}"]}
