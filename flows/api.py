"""`assay.moderate(...)`: a run from Python, in a notebook or a script, with no server needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .result import Moderation


def moderate(
    *sources: str | Path,
    lake: str | Path | None = None,
    server: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Moderation:
    """Ingest, score, decide and report; what `assay moderate` does.

    Args:
        *sources: Files, folders, globs, archives, tables or URLs; none scores the whole lake.
        lake: Folder or s3:// prefix; `ASSAY_LAKE` or `./assay-lake` by default.
        server: Run as a Prefect flow instead of plain functions.
        quiet: Show no progress.
        **settings: Any other field of `flows.request.Request`, such as `detector="mini"`.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        ConfigError: A setting that does not exist.
        TypeError: A source or a setting of another type, such as a list, an image or a frame.
    """
    from ..data.errors import ConfigError
    from .plain_values import source_text
    from .request import Request, default_lake
    from .start import start

    known = set(Request.__dataclass_fields__) - {"sources", "lake"}
    if unknown := sorted(set(settings) - known):
        raise ConfigError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    request = Request(
        sources=tuple(source_text(place, given) for place, given in enumerate(sources, 1)),
        lake=default_lake() if lake is None else lake,  # type: ignore[arg-type]  # a path becomes text there
        **settings,
    )
    return start(request, server=server, quiet=quiet)
