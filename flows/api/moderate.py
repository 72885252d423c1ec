"""`assay.moderate(...)`: a run from Python, in a notebook or a script, without a server."""

from __future__ import annotations

import inspect
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack, get_type_hints

from ..fields.marks import NOT_KEPT
from ..fields.plain_values import source_text
from ..fields.refusals import unknown_setting
from ..request import Request
from ..settings.describe import help_of
from ..settings.faces import Keywords
from ..settings.resolve import request_of
from ..start import start

if TYPE_CHECKING:
    from ..results.moderation import Moderation


def moderate(
    *sources: str | PathLike[str],
    server: bool = False,
    quiet: bool = False,
    **settings: Unpack[Keywords],
) -> Moderation:
    """Ingest, score and decide images, and write a report, as `assay moderate` does.

    A setting that is not given is taken from the `ASSAY_*` variables, then from `assay.toml`, then
    from the defaults.

    Args:
        *sources: Files, folders, globs, archives, tables or URLs; without sources, the whole lake
            is scored.
        server: Whether to run as a Prefect flow instead of plain functions.
        quiet: Whether to hide progress.
        **settings: Settings of the run, as below.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        ConfigError: A setting does not exist, or a value is not allowed.
        TypeError: A source or a setting has another type, such as a list, an image or a frame.
    """
    for name in settings:
        if name in NOT_KEPT or name not in Request.model_fields:
            raise unknown_setting(name, Keywords.__annotations__)
    given: dict[str, Any] = dict(settings)
    if given.get("lake", "") is None:
        del given["lake"]
    texts = tuple(source_text(place, given) for place, given in enumerate(sources, 1))
    return start(request_of(sources=texts, **given), server=server, quiet=quiet)


def _signature() -> inspect.Signature:
    """Return the signature with all settings instead of `**settings`."""
    own = inspect.signature(moderate)
    kinds = get_type_hints(Keywords)
    settings = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=kinds[name],
            default=Request.model_fields[name].default,
        )
        for name in kinds
    ]
    shown = [one for one in own.parameters.values() if one.kind is not one.VAR_KEYWORD]
    return own.replace(parameters=[*shown, *settings])


moderate.__signature__ = _signature()  # type: ignore[attr-defined]
moderate.__doc__ = "\n".join(
    [
        inspect.cleandoc(moderate.__doc__ or ""),
        "",
        "Settings:",
        *(
            f"    {name}: {help_of(name, Request.model_fields[name])}"
            for name in Keywords.__annotations__
        ),
    ]
)
