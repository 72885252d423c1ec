"""Messages for refused settings: what was seen, what is allowed, what to do, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from .marks import Allowed, kind_of, mark_of


def refusal(error: ValidationError, fields: Mapping[str, FieldInfo]) -> ConfigError:
    """Return the error for invalid settings; an unknown name is reported first.

    Args:
        error: Error of pydantic.
        fields: Known settings by name.
    """
    # A misspelt name comes first, since it may cause the other errors.
    first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        return unknown_setting(name, fields)
    if first["type"] == "string_too_short":
        return ConfigError(f"{name} is empty; give a value or omit it")
    field = fields[name]
    guess = did_you_mean(first["input"], choices(field))
    return ConfigError(f"{name} is {shown(first['input'])}; allowed: {allowed(field)}{guess}")


def unknown_setting(name: str, known: Mapping[str, FieldInfo]) -> ConfigError:
    """Return the error for a setting that does not exist."""
    return ConfigError(
        f"unknown setting {shown(name)}; allowed: {', '.join(sorted(known))}"
        f"{did_you_mean(name, known)}"
    )


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the values of a setting with a closed set of values, else an empty tuple."""
    kinds = (field.annotation, *get_args(field.annotation))
    found = next((kind for kind in kinds if get_origin(kind) is Literal), None)
    return tuple(map(str, get_args(found))) if found else ()


def allowed(field: FieldInfo) -> str:
    """Return a description of a setting's allowed values; "" if any text is allowed."""
    if mark := mark_of(field, Allowed):
        return mark.words
    if names := choices(field):
        return ", ".join(names)
    if above := mark_of(field, Gt):
        return f"more than {above.gt}"
    low, high = mark_of(field, Ge), mark_of(field, Le)
    if low is None:
        return ""
    least: Any = low.ge
    if high is None:
        return f"{least} or more"
    what = "a share from " if float in (field.annotation, *get_args(field.annotation)) else ""
    return f"{what}{least} to {high.le}"


def values_in_words(field: FieldInfo) -> str:
    """Return a description of a setting's allowed values, "text" if any text is allowed."""
    kind, _ = kind_of(field)
    words: dict[type, str] = {str: "text", tuple: "a list of texts", bool: "true or false"}
    return allowed(field) or words.get(kind, "a number")
