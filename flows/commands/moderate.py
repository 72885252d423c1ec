"""`assay moderate`: ingest, score, decide and report."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .options import (
    AsJson,
    Judging,
    Quiet,
    Reading,
    Running,
    Server,
    execute_and_tell,
    request_of,
)


def moderate(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    run: Running = None,
    reading: Reading = None,
    judging: Judging = None,
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Ingest, score and decide images, and write a report.

    A SOURCE is a file, a folder, a glob, a zip or tar archive, a Parquet, JSONL or CSV table, or
    a URL. A repeated run reads only what has changed, and scores no image twice.
    """
    request = request_of(sources, run, reading, judging)
    execute_and_tell(request, "moderate", server=server, quiet=quiet, as_json=json_)
