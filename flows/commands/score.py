"""`assay score`: the images of a lake scored and decided."""

from __future__ import annotations

from .options import (
    AsJson,
    Judging,
    Quiet,
    Running,
    Server,
    execute_and_tell,
    request_of,
)


def score(
    *,
    run: Running = None,
    judging: Judging = None,
    server: Server = None,
    json_: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score and decide every image of the lake that this detector has not seen."""
    request = request_of((), run, judging)
    execute_and_tell(request, "score", server=server, quiet=quiet, as_json=json_)
