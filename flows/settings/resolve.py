"""Which value a setting has, and who said so: a flag, the environment, a file, or nobody."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..request import Request, absolute
from .environment import environment_settings, variable_of
from .settings_file import SettingsFile, found_file

Kind = Literal["flag", "env", "file", "default"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who said what a setting is.

    Attributes:
        kind: Of those that speak, the first: flag, env, file, default.
        where: The variable, or the file and its line; "" for the others.
    """

    kind: Kind
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.where}".rstrip()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A request, and the origin of each of its settings."""

    request: Request
    origins: Mapping[str, Origin]
    file: SettingsFile | None


def resolve(
    given: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Resolved:
    """Return the request that flags, environment and file make, the first of them first.

    Args:
        given: What was said by flags or keywords, by setting.
        environment: Variables; those of this process by default.
        folder: Folder whose `assay.toml` counts; the working folder by default.

    Raises:
        ConfigError: A setting that does not exist or a value that is not allowed; the message
            names the variable, or the file and the line.
        TypeError: A keyword of another type.
    """
    variables = os.environ if environment is None else environment
    file = found_file(folder or Path.cwd(), variables)
    origins = dict.fromkeys(Request.model_fields, Origin("default"))
    values: dict[str, Any] = {}
    if file is not None:
        values |= absolute(file.settings, file.path.parent)
        origins |= {name: Origin("file", file.place(name)) for name in file.settings}
    said = environment_settings(variables)
    origins |= {name: Origin("env", variable_of(name)) for name in said}
    origins |= dict.fromkeys(given, Origin("flag"))
    return Resolved(request=Request(**values | said | dict(given)), origins=origins, file=file)


def request_of(**given: Any) -> Request:
    """Return the request of some keywords, the environment and the file; see `resolve`."""
    return resolve(given).request


def default_lake() -> str:
    """Return the lake that is meant where none is named."""
    return request_of().lake
