"""The Prefect flow: the same run as tasks, deployable by module, started through a real server."""

import contextlib
import json
import os
import stat
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import factories
import httpx
import pytest
import yaml
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect_processes import START_TIMEOUT_S, free_port, process, until

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.data.text.redaction import redact_url
from assay.flows.serving.serve import _require_free

ROOT = Path(__file__).resolve().parents[2]
FLAG_ALL = """
name = "all"
min_short_edge_px = 1
unlisted_domain = "default"
[default]
review_at = 0.0001
flag_at = 0.0002
"""


def moderate(source, lake, *flags, env):
    """Run `assay moderate` with the embedded detector in a separate process."""
    command = [sys.executable, "-m", "assay", "moderate", str(source), "--lake", str(lake)]
    return subprocess.run(
        [*command, "--detector", "mini", "--json", *flags],
        env=env,
        cwd=lake.parent,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def asked(url, what, **filters):
    """Return what the server answers to a filter."""
    return httpx.post(f"{url}/{what}/filter", json=filters, timeout=30).json()


def run_on(url, lake):
    """Return the flow run whose lake this is."""
    runs = asked(url, "flow_runs", sort="START_TIME_DESC", limit=20)
    return next(run for run in runs if run["parameters"].get("lake") == str(lake))


def log_of(url, run):
    """Return the messages in the log of a flow run."""
    logs = {"flow_run_id": {"any_": [run["id"]]}}
    return [line["message"] for line in asked(url, "logs", logs=logs)]


def artifacts_of(url, run):
    """Return the artifacts of a flow run."""
    return asked(url, "artifacts", artifacts={"flow_run_id": {"any_": [run["id"]]}})


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(factories.jpeg(seed=1))
    (folder / "b.png").write_bytes(factories.png(seed=2))
    (folder / "words.txt").write_bytes(b"words")
    return folder


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_served_flow_started_through_the_api_scores_the_pictures(pictures, tmp_path):
    """`assay serve` starts a server with a login; a run with another parameter fills the lake."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "HF_HUB_OFFLINE": "1",
    }
    env.pop("PREFECT_API_URL", None)
    lake = tmp_path / "lake"
    secret = "http://127.0.0.1:9/a.jpg?sig=0nlyforme"
    serve = ["assay", "serve", pictures.name, secret, "--lake", "lake"]
    serve += ["--detector", "mini", "--cron", "0 4 * * *", "--name", "nightly"]
    name = "assay-moderate/nightly"

    login_file = tmp_path / "home" / "assay-login"
    client = httpx.Client(timeout=10)

    def deployment():
        with contextlib.suppress(httpx.HTTPError, OSError):
            client.auth = tuple(login_file.read_text().strip().split(":"))
            answer = client.get(f"{url}/deployments/name/{name}")
            return answer.json() if answer.is_success else None

    with process(serve, env=env, log=tmp_path / "serve.log"):
        served = until(deployment, timeout_s=START_TIMEOUT_S, what="the deployment")
        assert served["entrypoint"] == "assay.flows.moderate.moderate"
        assert [schedule["schedule"]["cron"] for schedule in served["schedules"]] == ["0 4 * * *"]
        assert served["parameter_openapi_schema"]["properties"]["sources"]["type"] == "array"
        # Relative paths mean the folder of the one who served, and no secret is in the database.
        clean = redact_url(secret)
        assert served["parameters"]["sources"] == [str(pictures), clean]
        assert served["parameters"]["lake"] == str(lake)
        assert stat.S_IMODE(login_file.stat().st_mode) == 0o600
        foreign = {"Origin": "http://evil.example"}
        create = f"{url}/deployments/{served['id']}/create_flow_run"
        for auth in (None, ("assay", "guess")):
            answer = httpx.post(create, json={}, headers=foreign, auth=auth, timeout=10)
            assert answer.status_code == 401
        answer = client.get(f"{url}/deployments/name/{name}", headers=foreign)
        assert "access-control-allow-origin" not in answer.headers

        def create_run():
            # Prefect's own client tries again too when a busy server answers 503.
            answer = client.post(create, json={"parameters": {"domain": "uploads"}})
            return answer.json() if answer.is_success else None

        started = until(create_run, timeout_s=60, what="a flow run")

        def finished():
            run = client.get(f"{url}/flow_runs/{started['id']}").json()
            return run["state"] if run["state_type"] in {"COMPLETED", "FAILED", "CRASHED"} else None

        state = until(finished, timeout_s=150, what="the flow run")
        assert state["type"] == "COMPLETED", (state, (tmp_path / "serve.log").read_text())
        login = login_file.read_text().strip()
        with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: login}):
            _require_free("nightly", served["parameters"])
            with pytest.raises(ConfigError, match=f"{name} is served already.*--name"):
                _require_free("nightly", served["parameters"] | {"sources": ["/elsewhere"]})
        tasks = client.post(
            f"{url}/task_runs/filter",
            json={"flow_runs": {"id": {"any_": [started["id"]]}}},
        ).json()
        parts = {"ingest-and-score chunk 0: 4 items", "decide", "report"}
        assert {task["name"] for task in tasks} == parts
        run = client.get(f"{url}/flow_runs/{started['id']}").json()
        assert run["name"].startswith("moderate pictures +1 20")
        assert {"assay", "moderate", "lake:lake", "detector:mini"} <= set(run["tags"])
        artifacts = client.post(f"{url}/artifacts/filter", json={}).json()
        assert any(artifact["key"] == "assay-moderate" for artifact in artifacts)
        kept = b"".join(path.read_bytes() for path in (tmp_path / "home").glob("prefect.db*"))
        assert b"0nlyforme" not in kept
    opened = Lake(lake, create=False)
    assert opened.scan("scores").collect()["status"].to_list() == ["scored", "scored"]
    sightings = opened.scan("sightings").collect()
    assert sightings["domain"].to_list() == ["uploads"] * 4
    assert clean in sightings["source_uri"].to_list()


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_the_command_runs_as_a_flow_on_the_configured_server(server, pictures, tmp_path):
    """With a server set, `assay moderate` is a flow run there, and prints the same."""
    url, env = server
    lake = tmp_path / "lake"
    policy = tmp_path / "policy.toml"
    policy.write_text(FLAG_ALL)
    done = moderate(pictures, lake, "--policy", policy, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert (told["items"], told["scored"], told["rejected"]) == (3, 2, 1)
    run = run_on(url, lake)
    assert run["name"].startswith("moderate pictures 20")
    assert set(run["tags"]) == {"assay", "moderate", "lake:lake", "detector:mini"}
    log = log_of(url, run)
    for line in ("source ", "chunk 0: 3 items, 2 stored, 1 rejected, 2 scored;", "backend "):
        assert any(one.startswith(line) for one in log), log
    assert f"report {told['report']}" in log
    assert not any("Traceback" in line for line in log)
    shown = {artifact["key"]: artifact["data"] for artifact in artifacts_of(url, run)}
    assert told["report"] in shown["assay-moderate"]
    assert f"assay report {told['run_id']} --open" in shown["assay-moderate"]
    flagged = json.loads(shown["assay-moderate-flagged"])
    assert [row["reasons"] for row in flagged] == ["at_or_above_flag_threshold"] * 2
    assert {Path(row["source"]).name for row in flagged} == {"a.jpg", "b.png"}


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_plan_runs_as_a_flow_with_its_chunks_as_tasks(server, pictures, tmp_path):
    """The augment flow on a real server: pictures made, scored, and counted."""
    url, env = server
    lake = tmp_path / "lake"
    script = tmp_path / "augment.py"
    script.write_text(
        "import assay\n"
        "from assay.flows.augment import augment_flow\n"
        f"assay.moderate({str(pictures)!r}, lake={str(lake)!r}, detector='mini', server=False)\n"
        "plan = {'parents': {'choose': 'any'},\n"
        "        'make': [{'method': 'launder', 'condition': ['jpeg-50', 'half']}]}\n"
        f"print(augment_flow(plan, lake={str(lake)!r}, detector='mini', backend='torch'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["made"], told["scored"], told["not_made"]) == (4, 4, 0)
    tasks = httpx.post(f"{url}/task_runs/filter", json={"limit": 50}, timeout=5).json()
    assert {"synthesize", "score"} <= {task["name"].partition(" ")[0] for task in tasks}
    run = run_on(url, lake)
    assert run["name"].startswith("augment lake 20")
    (summary,) = [one for one in artifacts_of(url, run) if one["key"] == "assay-augment"]
    assert "## Made images: 4 made" in summary["data"]
    assert told["evasion_report"] in summary["data"]


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_failing_flow_tells_the_server_and_exits_with_its_code(server, tmp_path):
    """Bad input under Prefect has the same exit code as without it, and no traceback."""
    url, env = server
    done = moderate("nowhere", tmp_path / "lake", env=env)
    assert done.returncode == 3, done.stderr
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    run = run_on(url, tmp_path / "lake")
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith("nowhere: no such file or folder")
    assert not any("Traceback" in line for line in log_of(url, run))


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_flow_on_a_temporary_server_exits_without_a_word(pictures, tmp_path):
    """With `--server` and none configured, Prefect starts one for the run and leaves no noise."""
    env = {**os.environ, "PREFECT_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    env.pop("PREFECT_API_URL", None)
    done = moderate(pictures, tmp_path / "lake", "--server", env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scored"] == 2
    assert done.stderr == ""


def test_the_deployment_file_names_a_flow_that_exists():
    """What `prefect deploy` reads points at the flow by module, with parameters that it takes."""
    for deployment in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        module, _, name = deployment["entrypoint"].rpartition(".")
        flow = getattr(import_module(module), name)
        assert set(deployment["parameters"]) <= set(flow.parameters.properties)
        flow.validate_parameters(deployment["parameters"])
