"""Tasks have the names and signatures of the plain steps, and are plain outside flows."""

import inspect

import pytest
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

from assay.data.errors import ConfigError
from assay.flows import plain, tasks
from assay.flows.flow_runs.retrying import may_pass
from assay.flows.flow_runs.step_task import StepTask, _quoted
from assay.flows.tasks.subjects import named_by_subject

STEPS = ("ingest", "score", "decide", "drift", "augment", "report", "publish")


@pytest.mark.parametrize("name", STEPS)
def test_a_task_wraps_the_plain_step_of_the_same_name(name):
    """Name, signature and docstring are one; retries are those of every task of assay."""
    task, step = getattr(tasks, name), getattr(plain, name)
    assert inspect.unwrap(task.fn) is step
    assert (task.name, task.__doc__) == (name, step.__doc__)
    assert inspect.signature(task.fn) == inspect.signature(step)
    assert (task.retries, task.retry_condition_fn) == (3, may_pass)
    assert task.cache_policy is NO_CACHE


def test_both_doors_have_the_same_names():
    """A script changes from one to the other by its import."""
    assert set(tasks.__all__) == set(plain.__all__)


@pytest.mark.parametrize("task", [tasks.ingest, tasks.ingest.with_options(retries=1, name="in")])
def test_outside_a_flow_a_task_is_a_plain_function(task, monkeypatch):
    """No server is asked, and errors are those of the function."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(ConfigError, match="no sources"):
        task([])


def test_options_are_those_of_prefect():
    """A step with other options is a step, and the first one keeps its own."""
    step = tasks.score.with_options(retries=7, name="judge", tags={"gpu"})
    assert isinstance(step, StepTask)
    assert (step.retries, step.name, step.tags) == (7, "judge", {"gpu"})
    assert tasks.score.retries == 3


def test_long_arguments_are_not_searched_for_results():
    """A list of ids may have a million; short lists may hold results of other tasks."""
    assert isinstance(_quoted(["a"] * 2000), quote)
    assert _quoted(["a"]) == ["a"]
    assert _quoted("a" * 2000) == "a" * 2000


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (
            {"sources": "https://h/a.jpg?sig=SECRET"},
            "step https://h/a.jpg?sig=***#q=df3247c3d065fad5",
        ),
        ({"sources": ["in/a", "in/b", "in/c"]}, "step in/a and 2 more"),
        ({"batch": plain.Batch(lake="l", batch_id="b-1", run_id="r")}, "step b-1"),
        ({"batch": None}, "step the lake"),
        ({"plan": {"make": []}}, "step a plan"),
    ],
)
def test_a_run_is_named_after_its_subject(parameters, name):
    """A list of runs says which source, batch or plan; secrets of URLs stay out."""
    assert named_by_subject("step")(parameters) == name
