"""Start of a run, as plain functions in this process or as a Prefect flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data.errors import ConfigError
from ..data.store.open_store import require_no_secrets
from .process.cells import interrupts_in_one_line
from .process.malloc import limit_arenas
from .process.prefect_home import configured_api_url, require_settings, settle
from .progress import for_terminal, watched
from .request import Request

if TYPE_CHECKING:
    from .results.moderation import Moderation


def start(
    request: Request, verb: str = "moderate", *, server: bool | None = False, quiet: bool = False
) -> Moderation:
    """Run a request and return its result.

    Args:
        request: Settings of the run.
        verb: Name of the run in the `runs` table: `moderate`, `ingest` or `score`.
        server: Whether to run as a flow; None: if a Prefect server is configured.
        quiet: Whether to hide progress.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
    """
    limit_arenas()  # before the imports below start threads
    require_no_secrets(request.lake)  # before Prefect's database stores it
    with interrupts_in_one_line(), watched(for_terminal(quiet=quiet)):
        url = None
        if server is not False:
            settle(quiet=True)  # before Prefect is imported
            url = configured_api_url()
        if server is None:
            server = url is not None
        if not server:
            from .run import run

            return run(request, flow=verb)
        if url is not None:
            from .serving.prefect_server import require_server

            require_server(url)
        return _as_flow(request, verb)


def _as_flow(request: Request, verb: str) -> Moderation:
    require_settings()
    import httpx
    from prefect.exceptions import PrefectException

    from .moderate import moderate
    from .served import kept_secrets

    try:
        with kept_secrets(request.sources):
            # Named after its verb. The flow `assay-score` itself takes fewer settings of a request.
            flow = moderate.with_options(name=f"assay-{verb}")
            result: Moderation = flow(**request.params(), verb=verb)
    except (httpx.HTTPError, PrefectException) as error:
        raise ConfigError(
            f"the Prefect server failed: {type(error).__name__}: {error}; pass --no-server to run"
            " without it; committed work is kept, and the same command resumes"
        ) from error
    return result
