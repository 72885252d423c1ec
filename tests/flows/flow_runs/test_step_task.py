"""A step as a Prefect task on a real server."""

import threading

import pytest
from prefect import flow
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL, temporary_settings

from assay.flows.flow_runs.step_task import called_as_task
from assay.flows.request import Request


@pytest.mark.slow
@pytest.mark.xdist_group("prefect")
def test_a_task_that_hangs_is_stopped_and_tried_again(server):
    """The limit is the request's; a second attempt does the work, whose state is not kept."""
    url, _ = server
    attempts = []

    def step(request: Request, value: int) -> int:
        attempts.append(request.task_timeout_s)
        # In slices: pytest has the alarm, and without it a thread is stopped between two calls.
        while len(attempts) == 1:
            threading.Event().wait(0.05)
        return value

    @flow(log_prints=False)
    def run() -> int:
        result = called_as_task("step", step)(Request(task_timeout_s=0.5), 7)
        # A run of ten thousand tasks would hold ten thousand states.
        assert FlowRunContext.get().run_results == {}
        return result

    with temporary_settings({PREFECT_API_URL: url}):
        assert run() == 7
    assert attempts == [0.5, 0.5]
