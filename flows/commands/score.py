"""`assay score`: score and decide the images of a lake."""

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
    """Score the images of a lake that the detector has not scored, and decide all."""
    request = request_of((), run, judging)
    execute_and_tell(request, "score", server=server, quiet=quiet, as_json=json_)
