"""Starting a run: as plain functions in this process, or as a Prefect flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .arenas import limit_arenas
from .prefect_home import configured_api_url, settle
from .progress import for_terminal, watched
from .request import Request

if TYPE_CHECKING:
    from .result import Moderation


def start(
    request: Request, verb: str = "moderate", *, server: bool | None = False, quiet: bool = False
) -> Moderation:
    """Run a request and give what it came to.

    Args:
        request: What to read and how to judge it.
        verb: `moderate`, `ingest` or `score`; what the `runs` table calls it.
        server: As a flow, or not; None: as a flow where a Prefect server is configured.
        quiet: Show no progress.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
    """
    limit_arenas()  # before the imports below start threads
    with watched(for_terminal(quiet=quiet)):
        if server is None:
            server = configured_api_url() is not None
        if not server:
            from .run import run

            return run(request, flow=verb)
        settle(quiet=True)
        from .moderate import moderate as moderate_flow

        result: Moderation = moderate_flow(**request.params(), verb=verb)
        return result
