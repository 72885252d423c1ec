"""`assay ingest`: read, check and store images."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .options import (
    AsJson,
    Quiet,
    Reading,
    Running,
    execute_and_tell,
    request_of,
)


def ingest(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    run: Running = None,
    reading: Reading = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read, check and store images without scoring them."""
    request = request_of(sources, run, reading)
    execute_and_tell(request, "ingest", server=False, quiet=quiet, as_json=json_)
