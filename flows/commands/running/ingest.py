"""`assay ingest`: read, check and store images."""

from __future__ import annotations

from ..options import (
    AsJson,
    DryRun,
    Reading,
    Running,
    Sources,
    execute_and_print,
    request_of,
)


def ingest(
    sources: Sources,
    /,
    *,
    run: Running = None,
    reading: Reading = None,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Read, check and store images without scoring them."""
    request = request_of(sources, run, reading)
    execute_and_print(request, "ingest", server=False, as_json=json_, dry_run=dry_run)
