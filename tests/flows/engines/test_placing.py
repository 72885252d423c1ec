"""Steps that are done by an engine: order, bound and cancellation of the tasks in flight."""

import gc
import weakref
from contextlib import closing

import pytest

from assay.data.errors import ConfigError, EngineError, StoreError
from assay.flows.engines import placing
from assay.flows.engines.placing import ahead, placed
from assay.flows.engines.protocol import Job, Placement
from assay.flows.engines.worker import answered, work
from assay.flows.request import Request
from assay.version import __version__


class Names(list):
    """Names of images; a list that can be referred to weakly."""

    __hash__ = object.__hash__


class InOneProcess:
    """An engine that does a job when its result is wanted, and counts the jobs in flight."""

    def __init__(self, n_at_once=2):
        self.n_at_once = n_at_once
        self.in_flight = []
        self.most = 0
        self.started = 0
        self.cancelled = []

    def start(self, job):
        """Take a job."""
        ongoing = Ongoing(self, job)
        self.in_flight.append(ongoing)
        self.started += 1
        self.most = max(self.most, len(self.in_flight))
        return ongoing


class Ongoing:
    """A job of that engine."""

    def __init__(self, engine, job):
        self.engine = engine
        self.job = job

    def result(self):
        """Do the job."""
        answer = work(self.job, __version__)
        self.engine.in_flight.remove(self)
        return answered(answer)

    def cancel(self):
        """Note the job's images."""
        self.engine.cancelled.append(self.job.args[-1])


@placed()
def length(_lake, request, _run_id, _shard, image_ids):
    """Return a small result, and with what settings it was made."""
    if image_ids[0] == "bad":
        raise StoreError("the shard is gone")
    return len(image_ids), request.runner, request.n_workers


@pytest.fixture
def engine(monkeypatch):
    stand_in = InOneProcess()
    monkeypatch.setattr(placing, "engine_of", lambda _request: stand_in)
    monkeypatch.setattr(placing, "_started", {})
    return stand_in


def calls_of(names, request):
    return (("lake", request, "run", f"shard-{n}", Names([name])) for n, name in enumerate(names))


def done(request, names):
    """Call the step for each name, as a run does."""
    with closing(ahead(length, request, calls_of(names, request))) as in_order:
        for call in in_order:
            yield call, length(*call)


@pytest.mark.parametrize(("setting", "most"), [(None, 4), (7, 7)])
def test_ten_thousand_tasks_are_in_flight_a_few_at_a_time(engine, setting, most):
    """Arguments of earlier tasks are let go, results come in order, and each task is done once."""
    request = Request(runner="ray", n_workers=3, tasks_in_flight=setting)
    alive = weakref.WeakSet()
    shards = []
    for (_, _, _, shard, names), result in done(request, map(str, range(10_000))):
        assert result == (1, "threads", 3)
        alive.add(names)
        shards.append(shard)
        if len(shards) % 1000 == 0:
            gc.collect()
            assert len(alive) <= most + 1
    assert shards == [f"shard-{n}" for n in range(10_000)]
    assert (engine.started, engine.most, engine.in_flight) == (10_000, most, [])
    assert placing._started == {}


def test_a_failed_task_drops_the_ones_behind_it(engine):
    """The error is the step's own, and what waited is cancelled."""
    request = Request(runner="dask", n_workers=1)
    results = done(request, ["a", "bad", "b", "c", "d", "e"])
    assert next(results)[1][0] == 1
    with pytest.raises(StoreError, match="the shard is gone"):
        next(results)
    assert engine.cancelled == [["bad"], ["b"], ["c"], ["d"]]
    assert placing._started == {}


def test_a_task_that_is_called_again_is_started_again(engine):
    """As a retry of Prefect does: its first start is used up."""
    request = Request(runner="ray", n_workers=1)
    call = next(iter(calls_of(["a"], request)))
    assert length(*call) == length(*call) == (1, "threads", 1)
    assert engine.started == 2


def test_threads_start_nothing_ahead(engine):
    """One task at a time in this process, and the next is drawn when that is done."""
    request = Request()
    drawn = []

    def calls():
        for call in calls_of(["a", "b"], request):
            drawn.append(call)
            yield call

    with closing(ahead(length, request, calls())) as in_order:
        assert length(*next(in_order)) == (1, "threads", None)
        assert len(drawn) == 1
    assert engine.started == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"runner_address": "ray://head:10001"}, "--runner ray or --runner dask"),
        ({"runner": "ray", "device": "cuda:1"}, "allowed: auto, cuda, cpu"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, says):
    """A cluster without an engine, and one GPU of several."""
    with pytest.raises(ConfigError, match=says):
        Placement.of(Request(**settings))


def test_workers_share_the_cores_of_this_machine(monkeypatch):
    """Not those of other machines: there a task has one thread unless more are asked for."""
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    here = Placement.of(Request(runner="ray", runner_workers=2))
    there = Placement.of(Request(runner="ray", runner_address="ray://head:10001"))
    assert (here.n_processes, here.n_threads, there.n_threads) == (2, 4, 1)
    assert Placement.of(Request(runner="ray", n_workers=6, runner_workers=2)).n_threads == 6


class Unsendable(Exception):
    """An error that pickle cannot rebuild."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


def raising():
    raise Unsendable("out", "of paper")


def test_an_error_that_cannot_be_sent_is_told_by_name():
    """Its class and text arrive, as an error of the engine."""
    with pytest.raises(EngineError, match="Unsendable: out of paper"):
        answered(work(Job(step=raising, args=(), uses_network=False), __version__))


def test_a_worker_with_another_version_refuses():
    """Both versions are named."""
    with pytest.raises(ConfigError, match=f"has assay 0.0.1 and a worker has {__version__}"):
        answered(work(Job(step=raising, args=(), uses_network=False), "0.0.1"))


def test_an_engine_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    """Before anything is read, and with the command that installs it."""
    placing.close_engines()
    for runner, package in (("ray", "ray"), ("dask", "distributed")):
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(ConfigError, match=rf"assay\[{runner}\]"):
            placing.engine_of(Request(runner=runner))
