"""Servers of the review page in processes of their own, which are killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from page_clients import SECRET, form_token
from processes import PROCESSES

from assay.data.store.lake import Lake


class PageServer:
    """A server on one port, started again on the same port after it was killed.

    Args:
        lake: Folder of the lake.
        settings: Further settings of the page.
    """

    def __init__(self, lake: Path | str, **settings):
        self.lake = str(lake)
        self.port = 0
        self._settings = settings
        self._process = None

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, *, dies: str = "never", at: int = 0) -> None:
        """Start the server and return when it listens.

        Args:
            dies: When it kills itself: `never`, `before` or `after` it has recorded answers.
            at: Number of the request with answers at which it does.
        """
        given, out = PROCESSES.Pipe(duplex=False)
        arguments = (self.lake, self.port, self._settings, dies, at, out)
        process = PROCESSES.Process(target=_serve, args=arguments)
        process.start()
        # Assigned once it runs, since another thread may kill it at any moment.
        self._process = process
        out.close()
        try:
            self.port = given.recv()
        except EOFError:
            # Killed before it listened: `kept_alive` starts it again, on the same port.
            if not self.port:
                raise

    def kill(self, *, wait: bool = True) -> None:
        """Kill the server as `kill -9` does; one that has just died stays dead."""
        self._process.kill()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the server has ended."""
        self._process.join(timeout=60)
        assert self._process.exitcode is not None

    @property
    def is_alive(self) -> bool:
        """Whether the server runs."""
        return self._process.is_alive()

    @contextmanager
    def kept_alive(self, deaths: Iterator[dict]) -> Iterator[list[int]]:
        """Start the server again whenever it dies, and yield the exit codes so far.

        Args:
            deaths: Arguments of `start` for each further server.
        """
        codes: list[int] = []
        is_over = threading.Event()

        def watch():
            while True:
                self._process.join()
                if is_over.is_set():
                    return
                codes.append(self._process.exitcode)
                self.start(**next(deaths))

        watching = threading.Thread(target=watch)
        watching.start()
        yield codes
        is_over.set()
        self._process.kill()
        watching.join()

    def __enter__(self) -> PageServer:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        if self._process is not None and self._process.is_alive():
            self.kill()


def named_client(server: PageServer, name: str = "ada") -> httpx.Client:
    """Return a client of a server whose reviewer has given a name."""
    client = httpx.Client(base_url=server.url, headers={"Accept": "text/html"}, timeout=30)
    fields = {"form_token": form_token(client.get("/name").text), "name": name}
    client.post("/name", data=fields)
    client.headers["X-Form-Token"] = form_token(client.get("/queue").text)
    return client


def _serve(lake, port, settings, dies, at, out):
    from assay.flows.review_page.serve import listen, serve_page
    from assay.flows.review_page.settings import PageSettings
    from assay.tasks.review.journal import Journal

    record = Journal.record
    n_calls = 0

    def record_or_die(journal, answers):
        nonlocal n_calls
        n_calls += 1
        if dies == "before" and n_calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        record(journal, answers)
        if dies == "after" and n_calls == at:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.record = record_or_die
    with listen("127.0.0.1", port) as listener:
        port = listener.getsockname()[1]
        out.send(port)
        serve_page(Lake(lake), PageSettings(secret=SECRET, port=port, **settings), listener)
