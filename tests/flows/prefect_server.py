"""One real Prefect server for all tests of flows that need one; they share one process of tests.

Such a test is marked `@pytest.mark.xdist_group("prefect")`, so that one server is started.
"""

import contextlib
import os

import httpx
import pytest
from prefect_processes import START_TIMEOUT_S, free_port, process, until


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Start a real Prefect server on loopback with a database of its own."""
    home = tmp_path_factory.mktemp("prefect")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    env = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
    }

    def answers():
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{url}/health", timeout=2).is_success
        return False

    start = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with process(start, env=env, log=home / "server.log"):
        until(answers, timeout_s=START_TIMEOUT_S, what="the Prefect server")
        yield url, env
