"""`assay moderate`: ingest, score, decide and report."""

from __future__ import annotations

from ..options import (
    AsJson,
    DryRun,
    Judging,
    Open,
    Reading,
    Running,
    Server,
    Sources,
    execute_and_print,
    request_of,
)


def moderate(
    sources: Sources,
    /,
    *,
    run: Running = None,
    reading: Reading = None,
    judging: Judging = None,
    server: Server = None,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Ingest, score and decide images, and write a report.

    A repeated run reads only what has changed, and scores no image twice.
    """
    request = request_of(sources, run, reading, judging)
    execute_and_print(
        request, "moderate", server=server, as_json=json_, open_=open_, dry_run=dry_run
    )
