"""Checks of a file's tables against pydantic models, with errors in the terms of the file.

An error names the place, the value and the model's ranges or choices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ...data.errors import ConfigError
from ...data.text.wording import did_you_mean, shown
from ..methods.fields import REFUSED

_TYPES: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
}
MAX_NAME_CHARS: Final = 80
_BOUNDS: Final = ("greater_than_equal", "greater_than", "less_than_equal", "less_than")


def check_table(
    model: type[BaseModel],
    table: Any,
    *,
    where: str,
    missing: Mapping[str, str] | None = None,
) -> None:
    """Check the values of a table.

    Args:
        model: Model with names, types and ranges.
        table: Values of the file by name.
        where: Place of the table in messages.
        missing: Messages for required names that are missing, by name.

    Raises:
        ConfigError: A name or value is not allowed; the message is about the first one.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} is {shown(table)}; allowed: a table")
    names = tuple(model.model_fields)
    if unknown := [name for name in table if name not in names]:
        raise ConfigError(
            f"{where}: unknown {', '.join(map(named, unknown))}; allowed: {', '.join(names)}"
            f"{did_you_mean(unknown[0], names)}"
        )
    try:
        model.model_validate(dict(table), strict=True)
    except ValidationError as error:
        # A wrong value is reported before a missing one.
        first = min(error.errors(), key=lambda one: one["type"] == "missing")
        raise ConfigError(f"{where}: {_sentence(model, first, missing or {})}") from error


def named(name: object) -> str:
    """Return a name of a file for a message: as it is if printable and short, else its repr."""
    text = str(name)
    return text if text.isprintable() and len(text) <= MAX_NAME_CHARS else shown(name)


def _sentence(model: type[BaseModel], error: ErrorDetails, missing: Mapping[str, str]) -> str:
    kind, loc = error["type"], error["loc"]
    first, rest = (str(loc[0]), loc[1:]) if loc else ("the table", ())
    if kind == "missing":
        return missing.get(first, f"{first} is missing; give {first} = ...")
    # Positions within a swept list are left out of the name.
    name = ".".join([first, *(part for part in rest if isinstance(part, str))])
    seen = f"{name} = {shown(error['input'])}"
    if kind == REFUSED and error["msg"].startswith("is "):
        return f"{seen} {error['msg']}"
    if kind == REFUSED:
        return f"{seen}; {error['msg']}"
    if kind == "literal_error":
        allowed = _choices(model, first)
        return f"{seen}; allowed: {', '.join(allowed)}{did_you_mean(error['input'], allowed)}"
    if kind in _BOUNDS and (allowed_range := _range(_item(model, first))):
        return f"{seen}; allowed: {allowed_range}"
    if kind in _TYPES:
        return f"{seen} is not {_TYPES[kind]}"
    return f"{seen}; {error['msg'].removeprefix('Value error, ')}"


def _item(model: type[BaseModel], name: str) -> Mapping[str, Any]:
    """Return the JSON Schema of one value of a field."""
    whole = model.model_json_schema()
    found: Mapping[str, Any] = whole.get("properties", {}).get(name, {})
    while "anyOf" in found or "$ref" in found:
        if "$ref" in found:
            found = whole["$defs"][found["$ref"].rpartition("/")[2]]
        else:
            found = found["anyOf"][0]
    return found


def _choices(model: type[BaseModel], name: str) -> list[str]:
    item = _item(model, name)
    return [str(one) for one in item.get("enum", [item.get("const")])]


def _range(item: Mapping[str, Any]) -> str:
    least, greatest = item.get("minimum"), item.get("maximum")
    above, below = item.get("exclusiveMinimum"), item.get("exclusiveMaximum")
    if least is not None and greatest is not None:
        return f"{_plain(least)} to {_plain(greatest)}"
    words = {"at least": least, "above": above, "at most": greatest, "below": below}
    return ", ".join(
        f"{word} {_plain(bound)}" for word, bound in words.items() if bound is not None
    )


def _plain(bound: float) -> str:
    return f"{int(bound):,}" if bound == int(bound) else f"{bound:g}"
