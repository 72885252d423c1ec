"""Events on a real server: an announced batch starts a run of its own, and people are told."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from import_graph import ROOT
from ingesting import picture, put
from PIL import Image
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_processes import process, until

from assay.data.errors import ConfigError
from assay.data.store.lake import Lake
from assay.flows.events.send import notify, require_block

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]

# What docs/events.md shows, in Python, with a policy that flags everything.
SERVE = """
import sys
from prefect.events import DeploymentEventTrigger
from prefect.types.entrypoint import EntrypointType
from assay.flows.moderate import moderate

lake, policy = sys.argv[1:]
__name__ == "__main__" and moderate.serve(
    name="announced-here",
    entrypoint_type=EntrypointType.MODULE_PATH,
    parameters={
        "sources": [],
        "lake": lake,
        "detector": "mini",
        "policy": policy,
        "flagged_limit": 0.5,
        "notify": "custom-webhook/receiver",
    },
    triggers=[
        DeploymentEventTrigger(
            expect={"assay.batch.announced"},
            match={"prefect.resource.id": "assay.batch.*"},
            parameters={
                "sources": ["{{ event.payload.source | string }}"],
                "domain": {"__prefect_kind": "jinja", "template": "{{ event.payload.batch_id }}"},
            },
        )
    ],
)
"""

POLICY = """
name = "flags-everything"
min_short_edge_px = 1
unlisted_domain = "default"
[default]
review_at = 0.0
flag_at = 0.0
"""


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Start a receiver of messages, and return its address and what it has received."""
    messages: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(json.loads(body))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=receiver.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{receiver.server_port}", messages
    receiver.shutdown()
    thread.join()
    receiver.server_close()


def save_block(url: str, name: str, address: str) -> None:
    """Save a notification block on a server."""
    with temporary_settings({PREFECT_API_URL: url}):
        block = CustomWebhookNotificationBlock(
            name=name,
            url=address,
            json_data={"text": "{{body}}", "title": "{{subject}}"},
            allow_private_urls=True,
        )
        block.save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]


def post(url: str, **filters: Any) -> Any:
    return httpx.post(url, json=filters, timeout=20).json()


def test_an_announced_batch_starts_a_run_of_just_its_files(
    server: tuple[str, dict[str, str]],
    tmp_path: Path,
    received: tuple[str, list[dict[str, Any]]],
) -> None:
    """No name of a file reaches a template, and the events of the run have ids and counts."""
    url, env = server
    address, messages = received
    save_block(url, "receiver", address)
    incoming = put(tmp_path / "in", {"{{ 7 * 7 }}.png": picture(1), '"]}.png': picture(2)})
    lake, state = tmp_path / "lake", tmp_path / "state <&'>"
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    # Started as a module of the folder that it is started in.
    (tmp_path / "serving_script.py").write_text(SERVE)
    fast = {**env, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    runner = ["serving_script", str(lake), str(policy)]

    def deployed() -> Any:
        found = httpx.get(f"{url}/deployments/name/assay-moderate/announced-here", timeout=20)
        if not found.is_success:
            return None
        of_it = f"{url}/automations/related-to/prefect.deployment.{found.json()['id']}"
        return httpx.get(of_it, timeout=20).json() and found.json()

    with process(runner, env=fast, log=tmp_path / "serve.log"):
        deployment = until(deployed, timeout_s=120, what="the deployment and its trigger")
        watch = ["watch", str(incoming), "--once", "--settle", "0s", "--state", str(state)]
        done = subprocess.run(
            [sys.executable, "-m", "assay", *watch],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        listing = done.stdout.strip()

        def ended() -> Any:
            runs = post(f"{url}/flow_runs/filter", deployments={"id": {"any_": [deployment["id"]]}})
            return [run for run in runs if run["state_type"] in {"COMPLETED", "FAILED", "CRASHED"}]

        (run,) = until(ended, timeout_s=180, what="the run")
        assert run["parameters"]["sources"] == [listing]
        assert run["state_type"] == "COMPLETED", (tmp_path / "serve.log").read_text()

        def arrived() -> Any:
            events = post(
                f"{url}/events/filter",
                filter={"event": {"prefix": ["assay."]}, "resource": {"id_prefix": ["assay."]}},
                limit=50,
            )["events"]
            own = {event["event"]: event for event in events if str(tmp_path) in json.dumps(event)}
            return own if len(own) >= 4 else None

        events = until(arrived, timeout_s=60, what="the events")
    sightings = Lake(lake, create=False).scan("sightings").collect()
    names = ('"]}.png', "{{ 7 * 7 }}.png")
    assert sorted(sightings["source_uri"]) == [(incoming / name).as_uri() for name in names]
    assert events.keys() == {
        "assay.batch.announced",
        "assay.batch.ingested",
        "assay.run.completed",
        "assay.images.flagged",
    }
    batch_id = str(sightings["batch_id"][0])
    assert set(sightings["domain"]) == {batch_id}
    assert {event["payload"]["batch_id"] for event in events.values()} == {batch_id}
    assert events["assay.batch.ingested"]["payload"]["stored"] == 2
    assert events["assay.run.completed"]["payload"]["decisions"]["flag"] == 2
    assert events["assay.images.flagged"]["payload"]["share"] == 1.0
    related = {one["prefect.resource.id"] for one in events["assay.run.completed"]["related"]}
    assert {f"assay.batch.{batch_id}", f"assay.lake.{lake}"} <= related
    assert f"prefect.flow-run.{run['id']}" in related
    (message,) = messages
    assert "flagged 2 of 2 images (100.0%), limit 50.0%" in message["text"]


def flat(seed: int) -> bytes:
    """Return an image of one grey."""
    file = io.BytesIO()
    Image.new("RGB", (24, 16), (seed,) * 3).save(file, "PNG")
    return file.getvalue()


def test_a_run_of_other_images_starts_what_waits_for_a_drift(
    server: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    """The flow that docs/events.md shows draws an audit of the run whose images differ."""
    url, env = server
    page = (ROOT / "docs" / "events.md").read_text()
    (script,) = (
        block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "drift.found" in block
    )
    (tmp_path / "drift_script.py").write_text(script)
    lake, folder = tmp_path / "lake", tmp_path / "in"

    def moderate() -> dict[str, Any]:
        options = ("--detector", "mini", "--drift-limit", "0.3", "--json")
        done = subprocess.run(
            [sys.executable, "-m", "assay", "moderate", str(folder), "--lake", str(lake), *options],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    put(folder, {f"noise-{n}.png": picture(n) for n in range(30)})
    assert moderate()["drift"] is None
    put(folder, {f"flat-{n}.png": flat(n) for n in range(30)})
    fast = {**env, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}

    def deployed() -> Any:
        found = httpx.get(f"{url}/deployments/name/audit-drift/audit-drift", timeout=20)
        if not found.is_success:
            return None
        of_it = f"{url}/automations/related-to/prefect.deployment.{found.json()['id']}"
        return httpx.get(of_it, timeout=20).json()

    with process(["drift_script"], env=fast, log=tmp_path / "serve.log"):
        until(deployed, timeout_s=120, what="the deployment and its trigger")
        result = moderate()
        assert result["drift"]["verdict"] == "other_images"

        def drawn() -> Any:
            return Lake(lake, create=False).scan("audits").collect().height

        until(drawn, timeout_s=180, what="the audit")
    events = post(f"{url}/events/filter", filter={"event": {"prefix": ["assay.drift."]}})["events"]
    (event,) = (one for one in events if one["payload"]["lake"] == str(lake))
    assert event["payload"]["run_id"] == result["run_id"]
    assert event["payload"]["measures"] == result["drift"]["measures"]
    assert f"assay.run.{result['run_id']}" in {
        one["prefect.resource.id"] for one in event["related"]
    }


def test_a_block_that_cannot_be_used_is_said_at_once_or_logged(
    server: tuple[str, dict[str, str]],
    received: tuple[str, list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A missing one before the run, one that does not answer after it, without its address."""
    url, _ = server
    address, messages = received
    save_block(url, "broken", f"{address}/broken")
    with temporary_settings({PREFECT_API_URL: url}):
        with pytest.raises(ConfigError, match=r"notify is 'slack-webhook/nobody'.*block ls"):
            require_block("slack-webhook/nobody")
        notify(require_block("custom-webhook/broken"), "words")
    assert messages == [{"text": "words", "title": "assay"}]
    assert "the notification was not sent: HTTPStatusError" in caplog.text
    assert address not in caplog.text
