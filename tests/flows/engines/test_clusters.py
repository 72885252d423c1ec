"""Runs on local clusters of two workers: the same rows as threads, whatever is killed.

Run by `make test-engines`.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import dying_steps
import factories
import httpx
import ingesting
import polars as pl
import pytest

from assay.data.errors import ConfigError, EngineError
from assay.data.store.lake import Lake
from assay.flows import run as run_module
from assay.flows.engines.placing import close_engines, engine_of
from assay.flows.engines.protocol import Placement
from assay.flows.engines.ray_engine import RayEngine
from assay.flows.request import Request
from assay.flows.run import run
from assay.flows.steps import Steps

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

N_PER_TASK = 8
HERE = Path(__file__).parent
TESTS = HERE.parents[1]
IMPORTABLE = [HERE, TESTS / "flows", TESTS / "data", TESTS / "tasks", TESTS]

# A driver of its own: chunks of a few items, and the settings as arguments.
DRIVER = f"""
import sys
from assay.flows import run
from assay.flows.request import Request

if __name__ == "__main__":
    run.IMAGES_PER_TASK = {N_PER_TASK}
    lake, source, runner = sys.argv[1:]
    run.run(Request(lake=lake, sources=(source,), detector="mini", runner=runner, runner_workers=2))
"""


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Let workers import what the tests import."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join(map(str, IMPORTABLE)))
        yield


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch):
    monkeypatch.setattr(run_module, "IMAGES_PER_TASK", N_PER_TASK)


@pytest.fixture(scope="module", params=["ray", "dask"])
def runner(request, importable, by_threads):
    """Name an engine whose cluster is there for all tests of this module."""
    pytest.importorskip({"ray": "ray", "dask": "distributed"}[request.param])
    yield {"runner": request.param, "runner_workers": 2, "n_workers": 1}
    close_engines()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Write 40 photos, a copy of one, and a file that is no image."""
    folder = tmp_path_factory.mktemp("in")
    files = {f"{n:02}.jpg": factories.jpeg(seed=n, size=(96, 80)) for n in range(40)}
    files |= {"00-copy.jpg": files["00.jpg"], "17-text.jpg": b"no image"}
    return str(ingesting.put(folder, files))


@pytest.fixture(scope="module")
def by_threads(tmp_path_factory, source):
    """Moderate the source in this process."""
    lake = str(tmp_path_factory.mktemp("threads") / "lake")
    return run(Request(lake=lake, sources=(source,), detector="mini"))


def rows_of(lake, table, *columns):
    return Lake(lake, create=False).scan(table).select(*columns).sort(*columns).collect()


def require_same(lake, expected):
    """Compare ids to the last bit and logits within 1e-3, and require one row for each."""
    for table, columns in (
        ("images", ["image_id"]),
        ("sightings", ["source_uri", "status", "reason", "image_id"]),
        ("decisions", ["image_id", "decision"]),
    ):
        assert rows_of(lake, table, *columns).equals(rows_of(expected, table, *columns)), table
    ours, theirs = (rows_of(each, "scores", "image_id", "logit") for each in (lake, expected))
    assert ours["image_id"].equals(theirs["image_id"])
    assert (ours["logit"] - theirs["logit"]).abs().max() <= 1e-3


def test_a_cluster_writes_what_threads_write(tmp_path, source, runner, by_threads):
    """Of 42 items in six tasks: images, sightings and decisions are equal, scores within 1e-3."""
    lake = str(tmp_path / "lake")
    request = Request(lake=lake, sources=(source,), detector="mini", **runner)
    done = run(request)
    require_same(lake, by_threads.lake)
    told = ("items", "stored", "duplicates", "rejected", "scored", "failed", "decisions", "backend")
    assert [getattr(done, name) for name in told] == [getattr(by_threads, name) for name in told]
    again = run(request)
    assert (again.unchanged, again.scored, again.already_scored) == (42, 0, 40)


def test_a_worker_killed_in_mid_chunk_costs_a_retry_and_no_row(
    tmp_path, source, runner, by_threads, monkeypatch
):
    """Items that it had committed are known to the second try, which does the others."""
    lake = Lake(tmp_path / "lake")
    monkeypatch.setattr(run_module, "ingest_and_score_step", dying_steps.dying_ingest)
    done = run(
        Request(lake=lake.uri, sources=(source,), detector="mini", **runner),
        calls=Steps(ingest_and_score=dying_steps.dying_ingest),
    )
    assert dying_steps.tries_of(lake, "ingest").read_text() == "xx"
    assert done.items == 42
    require_same(lake.uri, by_threads.lake)


def test_a_worker_killed_in_mid_shard_costs_a_retry_and_no_row(
    tmp_path, source, runner, by_threads, monkeypatch, capfd
):
    """Stored images are scored in one task per shard, of which the first is begun twice."""
    lake = Lake(tmp_path / "lake")
    run(Request(lake=lake.uri, sources=(source,)), flow="ingest")
    n_shards = lake.scan("images").select(pl.col("shard").n_unique()).collect().item()
    monkeypatch.setattr(run_module, "score_step", dying_steps.dying_score)
    run(
        Request(lake=lake.uri, detector="mini", **runner),
        flow="score",
        calls=Steps(score=dying_steps.dying_score),
    )
    assert len(dying_steps.tries_of(lake, "score").read_text()) == 1 + n_shards
    require_same(lake.uri, by_threads.lake)
    assert not capfd.readouterr().out, "stdout is for data"


def test_a_task_that_kills_every_worker_is_given_up(tmp_path, runner):
    """After four workers, with the engine's name and what to do."""
    lake = Lake(tmp_path / "lake")
    request = Request(lake=lake.uri, **runner)
    with pytest.raises(EngineError, match=r"lost a task, in 4 attempts.*the same command resumes"):
        dying_steps.deadly(lake, request, "run", "shard", ["a"])
    assert dying_steps.tries_of(lake, "deadly").read_text() == "xxxx"


def test_bad_input_is_not_tried_again(tmp_path, runner):
    """The step's own error arrives, after one try."""
    lake = Lake(tmp_path / "lake")
    with pytest.raises(ConfigError, match=r"^threshold is 3; allowed: 0 to 1$"):
        dying_steps.refusing(lake, Request(lake=lake.uri, **runner), "run", "shard", ["a"])
    assert dying_steps.tries_of(lake, "refusing").read_text() == "x"


def children_of(pid):
    """Return the processes below a process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = entry.read_text()
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == pid:
            child = int(entry.parent.name)
            found += [child, *children_of(child)]
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition, what, timeout_s=180):
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {timeout_s} s for {what}"
        time.sleep(0.1)


def test_a_driver_killed_and_started_again_goes_on(tmp_path, source, runner, by_threads):
    """Its cluster ends with it, and the next run does what is left, on the cluster of another."""
    lake = str(tmp_path / "lake")
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), lake, source, runner["runner"]]
    with (tmp_path / "log").open("wb") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until((Path(lake) / "tables/sightings/_delta_log").exists, "a first commit")
        below = children_of(driver.pid)
        assert len(below) >= 2
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    assert driver.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    until(lambda: not any(map(is_alive, below)), "the end of its workers")
    known = rows_of(lake, "sightings", "source_uri").height
    done = run(Request(lake=lake, sources=(source,), detector="mini", **runner))
    require_same(lake, by_threads.lake)
    assert (done.items, done.unchanged) == (42, known)


def test_two_workers_work_at_once(tmp_path, runner):
    """Each task waits until the other has begun."""
    lake = Lake(tmp_path / "lake")
    request = Request(lake=lake.uri, **runner)
    calls = [(lake, request, "run", f"shard-{n}", [f"{n}"]) for n in range(2)]
    assert engine_of(request).n_at_once == 2
    results = []
    with run_module.closing(run_module.ahead(dying_steps.meeting, request, calls)) as in_order:
        results += [dying_steps.meeting(*call) for call in in_order]
    assert len(set(results)) == 2


def test_scores_name_their_run(tmp_path, source, runner):
    """Rows that workers write have the driver's run, and the backend is told once."""
    lake = str(tmp_path / "lake")
    done = run(Request(lake=lake, sources=(source,), detector="mini", **runner))
    runs = rows_of(lake, "scores", "run_id")["run_id"].unique().to_list()
    assert runs == [done.run_id]
    assert done.backend_why
    row = Lake(lake).scan("runs").filter(pl.col("status") == "completed").collect()
    assert row.height == 1


FLOW = f"""
import sys
from assay.flows import run
from assay.flows.moderate import moderate

if __name__ == "__main__":
    run.IMAGES_PER_TASK = {N_PER_TASK}
    lake, source, runner = sys.argv[1:]
    moderate([source], lake=lake, detector="mini", runner=runner, runner_workers=2)
"""


def test_a_flow_hands_its_tasks_to_a_cluster(tmp_path, source, runner, by_threads, server):
    """Each chunk is a task of the flow, and no worker starts a server of its own."""
    url, env = server
    lake = str(tmp_path / "lake")
    script = tmp_path / "flow.py"
    script.write_text(FLOW)
    done = subprocess.run(
        [sys.executable, str(script), lake, source, runner["runner"]],
        env=env | {"PREFECT_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    require_same(lake, by_threads.lake)
    assert "temporary server" not in done.stderr
    flow_runs = httpx.post(f"{url}/flow_runs/filter", json={"sort": "START_TIME_DESC"}).json()
    asked = {"flow_runs": {"id": {"any_": [flow_runs[0]["id"]]}}}
    tasks = httpx.post(f"{url}/task_runs/filter", json=asked).json()
    assert {task["state_type"] for task in tasks} == {"COMPLETED"}
    assert len(tasks) == 6 + 2  # chunks, then decide and report


def test_a_ray_that_does_not_start_is_told_in_one_line(monkeypatch):
    """Ray tells of it by a bare exception, which would be taken for a bug of assay."""
    ray = pytest.importorskip("ray")

    def late(*_address, **_settings):
        raise Exception("The current node timed out during startup.")  # noqa: TRY002 - as Ray does

    monkeypatch.setattr(ray, "init", late)
    with pytest.raises(EngineError, match="has not started on this machine: The current node"):
        RayEngine(Placement.of(Request(lake="lake", runner="ray")))


def test_a_run_on_ray_prints_nothing_of_ray_but_the_error_of_a_worker(tmp_path):
    """No line about Ray's start, its dashboard or its metrics; the step's own error arrives."""
    pytest.importorskip("ray")
    script = tmp_path / "driver.py"
    script.write_text(
        "import sys, dying_steps\n"
        "from assay.data.errors import ConfigError\n"
        "from assay.data.store.lake import Lake\n"
        "from assay.flows.request import Request\n"
        "if __name__ == '__main__':\n"
        "    lake = Lake(sys.argv[1])\n"
        "    request = Request(lake=lake.uri, runner='ray', runner_workers=2, n_workers=1)\n"
        "    try:\n"
        "        dying_steps.refusing(lake, request, 'run', 'shard', ['a'])\n"
        "    except ConfigError as error:\n"
        "        print(error, file=sys.stderr)\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert (done.stdout, done.stderr) == ("", "threshold is 3; allowed: 0 to 1\n")
