"""Settings of a step: those it is given, those of the steps before it, variables and file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.store.open_store import require_no_secrets
from ..fields.refusals import unknown_setting
from ..request import Request
from ..settings.resolve import request_of
from .references import Batch

# Of the machine that runs a step, or named by the batch itself.
_NOT_HANDED_ON: Final = frozenset({"lake", "n_workers", "sources"})
# On the outcome of whole runs; a flow of steps says itself what follows.
_NOT_OF_STEPS: Final[dict[str, None]] = {
    "flagged_limit": None,
    "drift_limit": None,
    "notify": None,
}


def step_request(
    given: Mapping[str, Any],
    known: Collection[str],
    *,
    batch: Batch | None = None,
    sources: tuple[str, ...] = (),
) -> Request:
    """Return the request of a step.

    A setting that is not given is that of the steps before it, then that of the `ASSAY_*`
    variables, of `assay.toml`, and the default.

    Args:
        given: Settings of the call by name.
        known: Names of the settings that the step takes.
        batch: Batch of the step; None for the whole lake or a new batch.
        sources: Sources of the step.

    Raises:
        ConfigError: The step has no such setting, a value is not allowed, or another lake is named.
        TypeError: A value has another type.
    """
    settings = dict(given)
    if settings.get("lake", "") is None:
        del settings["lake"]
    for name in settings:
        if name not in known:
            raise unknown_setting(name, {one: Request.model_fields[one] for one in known})
    if batch is not None:
        if "lake" in settings:
            raise ConfigError(f"lake is that of the batch, {batch.lake}; leave it out")
        settings = batch.settings | settings | {"lake": batch.lake}
    request = request_of(sources=sources, **settings).changed(**_NOT_OF_STEPS)
    require_no_secrets(request.lake)
    return request.absolute()


def handed_on(request: Request, known: Collection[str]) -> dict[str, Any]:
    """Return the settings of a step for those that follow.

    Args:
        request: Request of the step.
        known: Names of the settings that the step takes.
    """
    settings = request.model_dump(mode="json")
    return {
        name: value
        for name, value in settings.items()
        if name in known and name not in _NOT_HANDED_ON
    }
