"""Settings in `ASSAY_*` variables, converted from text to the setting's type."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from ..fields.marks import NOT_KEPT, kind_of
from ..request import Request

PREFIX: Final = "ASSAY_"

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def variable_of(name: str) -> str:
    """Return the variable of a setting, such as ASSAY_DETECTOR."""
    return PREFIX + name.upper()


def environment_settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in environment variables; empty variables are ignored.

    Raises:
        ConfigError: A value is not allowed, or a variable's name is nearly that of a setting.
    """
    names = {variable_of(name): name for name in Request.model_fields if name not in NOT_KEPT}
    settings: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or not text:
            continue
        if variable not in names:
            # Other programs may use this prefix; only a likely misspelling is an error.
            if variable not in OTHERS and (guess := did_you_mean(variable, names)):
                raise ConfigError(f"{variable} is not a variable of assay{guess}")
            continue
        name = names[variable]
        settings[name] = _checked(variable, name, text)
    return settings


OTHERS: Final = frozenset(
    PREFIX + name
    for name in (
        *("CACHE", "HOME", "CONFIG", "DEBUG", "LOG_FORMAT", "SERVED", "REVIEWER"),
        *("C2PA_CERT", "C2PA_KEY"),
    )
)
"""Variables of assay that are not settings of a run."""


def _checked(variable: str, name: str, text: str) -> Any:
    try:
        value = value_of_text(name, text)
        Request(**{name: value})
    except ConfigError as error:
        raise ConfigError(f"{variable}: {error}") from error
    return value


def value_of_text(name: str, text: str) -> Any:
    """Return a text converted to a setting's type.

    Args:
        name: Name of the setting.
        text: Number, `true` or `false`, text, or a list as in TOML, JSON or separated by commas.

    Raises:
        ConfigError: The text has another form.
    """
    kind, _ = kind_of(Request.model_fields[name])
    if kind is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ConfigError(f"{name} is {shown(text)}; allowed: true or false")
        return text.lower() in _TRUE
    if kind is tuple:
        return _several(name, text)
    if kind is str:
        return text
    try:
        return kind(text)
    except ValueError as error:
        allowed = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name} is {shown(text)}; allowed: {allowed}") from error


def _several(name: str, text: str) -> tuple[str, ...]:
    """Return the texts of a list; `[ab]*.jpg` is a pattern, not a list."""
    for read in (json.loads, lambda listed: tomllib.loads(f"list = {listed}")["list"]):
        try:
            found = read(text)
        except ValueError:
            continue
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return tuple(found)
    if text.lstrip().startswith(("['", '["')):
        raise ConfigError(f'{name} is {shown(text)}; a list is written ["a", "b"], or a,b')
    return tuple(part.strip() for part in text.split(",") if part.strip())
