"""Progress of a long run on its page of the Prefect server."""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from typing import Any, Final

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectException

# A run that is over before has no progress to show.
BEGIN_AFTER_S: Final = 10.0
UPDATE_EVERY_S: Final = 5.0


class ProgressPage:
    """Watcher that keeps a progress artifact up to date, from a thread of its own.

    Args:
        key: Key of the artifact.
        begin_after_s: Time before the artifact is made, in seconds.
        update_every_s: Time between two updates, in seconds.
    """

    def __init__(
        self,
        key: str,
        *,
        begin_after_s: float = BEGIN_AFTER_S,
        update_every_s: float = UPDATE_EVERY_S,
    ) -> None:
        self._key = key
        self._waits_s = (begin_after_s, update_every_s)
        self._phase = "start"
        self._total: int | None = None
        self._done = 0
        self._began_s = time.monotonic()
        # Prefect's functions are typed for threads with an event loop too.
        self._artifact: Any = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        # The context of the flow run names the server and the run.
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._keep,), daemon=True)
        self._thread.start()

    def begin(self, phase: str, total: int | None) -> None:
        """Start a phase."""
        with self._lock:
            self._phase, self._total, self._done = phase, total, 0
            self._began_s = time.monotonic()

    def expect(self, total: int | None) -> None:
        """Set the total of the phase."""
        with self._lock:
            self._total = total if total is not None else self._total

    def advance(self, n: int) -> None:
        """Add to what is done."""
        with self._lock:
            self._done += n

    def end(self) -> None:
        """End the phase with what is done as its total."""
        with self._lock:
            self._total = self._done

    def close(self) -> None:
        """Write the last state, if the artifact exists, and end the thread."""
        self._is_over.set()
        self._thread.join()

    def state(self) -> tuple[float, str]:
        """Return the share done in percent, and a line that says it."""
        with self._lock:
            phase, done, total = self._phase, self._done, self._total
            rate = done / max(time.monotonic() - self._began_s, 1e-3)
        line = f"{phase}: {done:,}{'' if total is None else f' of {total:,}'}, {rate:.1f} images/s"
        if not total:
            return 0.0, line
        if rate and done < total:
            line += f", about {_span((total - done) / rate)} left"
        return min(100.0, 100.0 * done / total), line

    def _keep(self) -> None:
        wait_s, then_s = self._waits_s
        while not self._is_over.wait(wait_s):
            wait_s = then_s
            self._write()
        if self._artifact is not None:
            self._write()

    def _write(self) -> None:
        share, line = self.state()
        # A run does not fail because its progress cannot be shown.
        with contextlib.suppress(httpx.HTTPError, PrefectException):
            if self._artifact is None:
                self._artifact = create_progress_artifact(
                    progress=share, key=self._key, description=line
                )
            else:
                update_progress_artifact(self._artifact, progress=share, description=line)


def _span(seconds: float) -> str:
    """Return a time span in its largest unit."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
