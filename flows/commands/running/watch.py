"""`assay watch`: announce what is new below a folder or a prefix."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from ..options import AsJson, Flag, Server

_DEFAULT_INTERVAL = "60s"
_DEFAULT_SETTLE = "30s"


def watch(
    prefix: str,
    /,
    *,
    once: Annotated[bool, Flag] = False,
    interval: str = _DEFAULT_INTERVAL,
    settle: str = _DEFAULT_SETTLE,
    include: tuple[str, ...] = (),
    exclude: tuple[str, ...] = (),
    max_files: int = 10_000,
    state: Path | None = None,
    listings: str | None = None,
    server: Server = None,
    json_: AsJson = False,
) -> None:
    """Report new and changed files by the event `assay.batch.announced`, each once.

    A listing of the files is written, and its path printed: a source for a run of just these
    files. With a Prefect server, a deployment with a trigger starts that run.

    Args:
        prefix: Folder, or prefix s3://bucket/prefix (gs://, az://), to watch.
        once: One look instead of one per interval.
        interval: Time between two looks, such as 60s or 5m.
        settle: Time for which a file has not changed before it counts as complete.
        include: Glob patterns; only files whose path matches one are announced.
        exclude: Glob patterns; files whose path matches one are not announced.
        max_files: Maximum number of files of an announcement; more become several.
        state: Folder of what has been announced [default: one per prefix, in the user's state].
        listings: Folder or prefix of the listings, which runs read
            [default: one below the state].
        server: Event to the configured Prefect server, or paths only
            [default: an event if a Prefect server is configured].
        json_: One JSON object per announcement on stdout.

    Raises:
        ConfigError: A value is invalid, or an event is wanted and no server is configured.
    """
    from ....data.durations import span_s
    from ....data.errors import ConfigError
    from ....data.sources.items import SourceOptions
    from ...events.event import Event
    from ...events.watch.watch import Watch
    from ...events.watch.watch import watch as announcements
    from ...process.prefect_home import configured_api_url
    from ...process.prefect_home import settle as settle_prefect

    if max_files < 1:
        raise ConfigError(f"--max-files is {max_files}; it must be at least 1")
    url = None if server is False else configured_api_url()
    if server and url is None:
        raise ConfigError("--server needs a Prefect server; set PREFECT_API_URL")

    def deliver(events: list[Event]) -> None:
        if url is not None:
            from ...events.send import deliver as send

            send(events)

    if url is not None:
        settle_prefect(quiet=True)
        from ...serving.prefect_server import require_server

        require_server(url)
    settings = Watch(
        prefix=prefix,
        options=SourceOptions(include=include, exclude=exclude),
        state=None if state is None else state.absolute(),
        listings=listings,
        settle_s=span_s("--settle", settle),
        max_files=max_files,
    )
    every_s = None if once else span_s("--interval", interval)
    for event in announcements(settings, deliver, interval_s=every_s):
        values = dict(event.payload)
        print(json.dumps(values) if json_ else values["source"])  # noqa: T201
        sys.stdout.flush()
