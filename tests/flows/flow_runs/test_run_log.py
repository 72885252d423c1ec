"""Which log lines reach the log of a flow run."""

import logging
import threading
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.logging.handlers import set_api_log_sink

from assay.flows.flow_runs.run_log import run_log

LOGGER = logging.getLogger("assay.somewhere")


@pytest.fixture
def sent():
    """Yield what would be sent to the server, as pairs of flow run and message."""
    lines = []
    set_api_log_sink(lambda log: lines.append((log["flow_run_id"], log["message"])))
    yield lines
    set_api_log_sink(None)


def of_a_run():
    """Return a context of a flow run, and the run's id as the log has it."""
    flow_run_id = uuid4()
    flow_run = FlowRun.model_construct(id=flow_run_id)
    return FlowRunContext.model_construct(flow_run=flow_run), str(flow_run_id)


def in_a_thread(work):
    """Run a function in a thread that knows no context."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


def test_lines_of_a_run_and_of_its_threads_are_sent(sent):
    """From INFO upwards, without secrets, while the block runs, and once if it is nested."""
    context, flow_run_id = of_a_run()
    with context, run_log(), run_log():
        LOGGER.info("read https://host/a.jpg?sig=secret")
        LOGGER.debug("too fine")
        in_a_thread(lambda: LOGGER.warning("from a thread"))
    LOGGER.warning("after it")
    assert [line for line in sent if "too fine" not in line[1]] == sent
    assert [run for run, _ in sent] == [flow_run_id] * 2
    assert "secret" not in sent[0][1]
    assert sent[1][1] == "from a thread"


def test_runs_side_by_side_get_their_own_lines(sent):
    """A run does not get the lines of another in the same process."""
    first, first_id = of_a_run()
    second, second_id = of_a_run()
    with first, run_log():
        with second, run_log():
            LOGGER.info("second")
        LOGGER.info("first")
    assert sent == [(second_id, "second"), (first_id, "first")]


def test_the_logger_is_left_as_it_was(sent):
    """No handler and no level stays behind, and outside of a run nothing is added."""
    logger = logging.getLogger("assay")
    before = logger.level, list(logger.handlers)
    context, _ = of_a_run()
    with context, run_log():
        assert logger.level <= logging.INFO
    with run_log():
        LOGGER.warning("of nobody")
    assert (logger.level, logger.handlers) == before
    assert sent == []
