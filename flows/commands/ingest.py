"""`assay ingest`: images read, checked and stored."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from .options import (
    READING,
    AsJson,
    Judging,
    LakeUri,
    Quiet,
    Reading,
    execute_and_tell,
    request_of,
)


def ingest(
    sources: Annotated[tuple[str, ...], Parameter(name="SOURCE", negative="")],
    /,
    *,
    lake: LakeUri = None,
    reading: Reading = READING,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Read, check and store pictures without scoring them."""
    request = request_of(lake, sources, reading, Judging())
    execute_and_tell(request, "ingest", server=False, quiet=quiet, as_json=json_)
