"""Value and origin of each setting: flag, environment, file or default."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..blocks.names import address_of, allow_blocks, is_block
from ..request import Request, absolute
from .environment import environment_settings, variable_of
from .settings_file import SettingsFile, found_file

Kind = Literal["flag", "env", "file", "default"]

_log = logging.getLogger(__name__)

allow_blocks()


@dataclass(frozen=True, slots=True)
class Origin:
    """Origin of a setting's value.

    Attributes:
        kind: Type of the origin: flag, env, file or default.
        where: Name of the variable, or path and line of the file; "" for the others.
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
    """Return the request given by flags, environment and file, in this order of precedence.

    Args:
        given: Settings given by flags or keywords.
        environment: Environment variables [default: those of this process].
        folder: Folder whose `assay.toml` applies [default: the working folder].

    Raises:
        ConfigError: A setting does not exist or a value is not allowed; the message names the
            variable, or the file and the line.
        TypeError: A keyword has another type.
    """
    variables = os.environ if environment is None else environment
    file = found_file(folder or Path.cwd(), variables)
    origins = dict.fromkeys(Request.model_fields, Origin("default"))
    values: dict[str, Any] = {}
    if file is not None:
        values |= absolute(file.settings, file.path.parent)
        origins |= {name: Origin("file", file.place(name)) for name in file.settings}
    from_environment = environment_settings(variables)
    origins |= {name: Origin("env", variable_of(name)) for name in from_environment}
    origins |= dict.fromkeys(given, Origin("flag"))
    for name, origin in origins.items():
        if origin.kind != "default":
            _log.debug("setting %s is set by %s", name, origin)
    request = Request(**values | from_environment | dict(given))
    if is_block(request.lake):
        address_of(request.lake)  # its credentials are those of sources too, which come first
    return Resolved(request=request, origins=origins, file=file)


def request_of(**given: Any) -> Request:
    """Return the request given by keywords, the environment and the file; see `resolve`."""
    return resolve(given).request


def default_lake() -> str:
    """Return the lake of the environment, the file or the default."""
    return request_of().lake
