"""`assay score`: score and decide the images of a lake."""

from __future__ import annotations

from ..options import (
    AsJson,
    DryRun,
    Judging,
    Open,
    Running,
    Server,
    execute_and_print,
    request_of,
)


def score(
    *,
    run: Running = None,
    judging: Judging = None,
    server: Server = None,
    json_: AsJson = False,
    open_: Open = False,
    dry_run: DryRun = False,
) -> None:
    """Score the images of a lake that the detector has not scored, and decide all."""
    request = request_of((), run, judging)
    execute_and_print(request, "score", server=server, as_json=json_, open_=open_, dry_run=dry_run)
