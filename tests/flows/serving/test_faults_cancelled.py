"""A run that a scheduler cancels: Prefect's worker sends SIGTERM to its process."""

import json

import factories
import httpx
import polars as pl
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect_processes import process, until

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.flows.request import Request
from assay.flows.run import run

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("prefect")]

N = 100


def test_a_cancelled_run_keeps_what_is_done_and_goes_on_next_time(
    server, tmp_path, monkeypatch, capsys
):
    """The flow run ends as cancelled, its row as interrupted, and the next run completes it."""
    url, env = server
    source, lake = tmp_path / "in", tmp_path / "lake"
    source.mkdir()
    for n in range(N):
        (source / f"{n:03}.png").write_bytes(factories.png(seed=n))
    monkeypatch.setenv("PREFECT_API_URL", url)
    with temporary_settings({PREFECT_API_URL: url}):
        words = ("--lake", str(lake), "--detector", "mini", "--backend", "torch", "--json")
        main(["deploy", "moderate", str(source), *words, "--pool", "stopped"])
    known = json.loads(capsys.readouterr().out)
    create = f"{url}/deployments/{known['deployment_id']}/create_flow_run"
    started = httpx.post(create, json={}, timeout=10).raise_for_status().json()
    address = f"{url}/flow_runs/{started['id']}"

    def ended():
        state = httpx.get(address, timeout=10).json()["state"]
        return state if state["type"] in {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"} else None

    def is_at_work():
        return (lake / "assay-lake.json").exists() and Lake(lake, create=False).n_rows("runs")

    log = tmp_path / "worker.log"
    worker = ["prefect", "worker", "start", "--pool", "stopped"]
    fast = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    with process(worker, env={**env, **fast}, log=log):
        until(is_at_work, timeout_s=150, what="the run's row")
        body = {"state": {"type": "CANCELLING"}, "force": True}
        httpx.post(f"{address}/set_state", json=body, timeout=10).raise_for_status()
        state = until(ended, timeout_s=150, what="the end of the flow run")
        until(lambda: "interrupted" in rows_of_runs(lake), timeout_s=30, what="the row of the run")
    assert state["type"] == "CANCELLED", log.read_text()
    n_done = Lake(lake).n_rows("scores")
    result = run(Request(lake=str(lake), sources=(str(source),), detector="mini", backend="torch"))
    assert (result.items, result.already_scored + result.scored) == (N, N)
    assert result.unchanged >= n_done
    scores = Lake(lake).scan("scores").collect()
    assert scores["image_id"].n_unique() == scores.height == N


def rows_of_runs(lake):
    return Lake(lake).scan("runs").select(pl.col("status")).collect()["status"].to_list()
