"""Parameters of a deployment, from settings of the command: JSON values of the flow."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ...data.errors import ConfigError
from ...data.source_paths import absolute_source, path_of
from ...data.sources.folders.globs import has_magic
from ..fields.marks import IsPlace, mark_of, option_of
from ..request import absolute
from ..settings.resolve import Resolved


def run_parameters(
    resolved: Resolved, model: type[BaseModel], *, in_container: bool
) -> dict[str, Any]:
    """Return the settings of a run that differ from the flow's defaults, with absolute paths.

    Args:
        resolved: Settings and their origins.
        model: Model with the settings of the flow.
        in_container: Whether runs see another file system, in which paths from this machine's
            working folder mean nothing.

    Raises:
        ConfigError: A path is relative, and runs see another file system.
    """
    fields = model.model_fields
    given = resolved.request.settings()
    values = {
        name: given[name]
        for name, field in fields.items()
        if given[name] != field.default or name == "sources"
    }
    # Without a lake of the user's, a process shares this folder's; a container has its own.
    if not in_container:
        values["lake"] = given["lake"]
    for name in values if in_container else ():
        if mark_of(fields[name], IsPlace):
            _require_absolute(option_of(name, fields[name]), values[name], absolute(values)[name])
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in absolute(values).items()
    }


def place_parameter(option: str, path: Path | str, *, in_container: bool) -> str:
    """Return a path that is not a setting of a run, such as that of a plan, as a parameter.

    Raises:
        ConfigError: It is relative, and runs see another file system.
    """
    text = os.fspath(path)
    place = absolute_source(text)
    if in_container:
        _require_absolute(option, text, place)
    return place


def unseen(places: Iterable[str]) -> list[str]:
    """Return the local paths that do not exist on this machine; a glob is taken as it is."""
    paths = [path for path in map(path_of, places) if path is not None and not has_magic(path)]
    return [path for path in paths if not os.path.lexists(path)]


def changed(given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from the defaults."""
    return {name: value for name, value in given.items() if value != defaults[name]}


def _require_absolute(option: str, given: Any, place: Any) -> None:
    if given == place:
        return
    seen = given if isinstance(given, str) else ", ".join(given)
    raise ConfigError(
        f"{option.removeprefix('--')} is {seen!r}; runs in a container have other folders than"
        " this one: give absolute paths as the container sees them, or s3:// and other URLs"
    )
