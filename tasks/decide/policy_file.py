"""The policy file: TOML or plain values, checked against the models of `policy`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ...data.errors import ConfigError, shorten
from ...data.text.wording import did_you_mean, shown
from ...data.toml_file import read_toml
from .policy import (
    MAX_EDGE_PX,
    MISSING,
    REFUSED,
    Band,
    DetectorRules,
    OutOfDomain,
    PixelRules,
    Policy,
)

PACKAGED_POLICY: Final = Path(__file__).with_name("policy.toml")

_UNKNOWN: Final = "extra_forbidden"
_ALLOWED: Final = {
    "name": "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
    "min_short_edge_px": f"a whole number from 0 to {MAX_EDGE_PX}",
    "unlisted_domain": '"default" or "review"',
    "review_at": "a number from 0 to 1",
    "flag_at": "a number from 0 to 1",
    "may_flag": "true or false",
    "min_detail": "a number from 0 to 1",
    "min_jpeg_quality": "a whole number from 1 to 100",
    "min_bits_per_pixel": "a number above 0, at most 64",
    "graphics": '"judge" or "review"',
    "level": "a number above 0 and below 1",
    "clears": '"keep" or "review"',
    "copies": '"alone" or "together"',
    "calibration": "the id of a calibration, `c-` and 12 hexadecimal digits",
    "fdr": "a number above 0 and below 1",
}


def load_policy(path: Path | None = None) -> Policy:
    """Return the policy of a file.

    Args:
        path: TOML file; None reads the packaged policy.

    Raises:
        ConfigError: The file cannot be read, is not TOML, has an unknown or missing key, or a
            value outside its range; the message names file, key, value and allowed values.
    """
    file = PACKAGED_POLICY if path is None else Path(path)
    try:
        values = read_toml(file)
    except OSError as error:
        raise ConfigError(
            f"policy {file}: cannot be read ({error.strerror}); "
            "name a TOML file with --policy, or leave --policy out for the packaged policy"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"policy {file}: is not TOML ({error}); correct it, or start from {PACKAGED_POLICY}"
        ) from error
    return policy_from_dict(values, source=str(file))


def policy_from_dict(values: Mapping[str, Any], *, source: str) -> Policy:
    """Return the policy of plain values.

    Args:
        values: Rules by name, as in a policy file.
        source: Name of the file in messages.

    Raises:
        ConfigError: A key is unknown or missing, or a value is outside its range.
    """
    try:
        return Policy.model_validate(dict(values))
    except ValidationError as error:
        # A misspelt key goes first: the missing key beside it has the same cause.
        first = min(error.errors(), key=lambda detail: detail["type"] != _UNKNOWN)
        raise ConfigError(f"policy {source}: {_reason(first)}") from error


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of policy files, for the checks and completions of editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Policy.model_json_schema(),
        "title": "assay policy",
    }


def _reason(error: ErrorDetails) -> str:
    """Return one line that names the value seen, the values allowed and what to do."""
    # A rule over several keys has the place of their table; it names the key that is missing.
    rule = error.get("ctx", {}).get("name")
    path: list[int | str] = [*error["loc"], *([rule] if rule else [])]
    *table, name = path
    value = error["input"]
    if error["type"] == _UNKNOWN:
        allowed = tuple(_model_at(table).model_fields)
        return (
            f"unknown key {shorten(_spelled(error['loc']), 80)} = {shown(value)}; "
            f"allowed here: {', '.join(allowed)}; correct its spelling or remove it"
            f"{did_you_mean(name, allowed)}"
        )
    key = _spelled([*table, name])
    if error["type"] == MISSING:
        return f"{key} is missing; add it, see {PACKAGED_POLICY}"
    if error["type"] == REFUSED:
        allowed_text = f"at most {key}.flag_at, which is {error['ctx']['flag_at']}"
        key, value = f"{key}.review_at", value["review_at"]
    else:
        is_value = _is_value(table, name)
        allowed_text = _ALLOWED[str(name)] if is_value else f"a table, written [{key}]"
    return f"{key} = {shown(value)}; allowed: {allowed_text}; correct the file"


def _spelled(loc: tuple[int | str, ...] | list[int | str]) -> str:
    """Return the path of a key as TOML spells it, with names of detectors and domains quoted."""
    return ".".join(
        f'"{part}"' if at and loc[at - 1] in {"detectors", "domains"} else str(part)
        for at, part in enumerate(loc)
    )


def _model_at(table: list[int | str]) -> type[BaseModel]:
    """Return the model of the table at a path."""
    if not table:
        return Policy
    if table == ["pixels"]:
        return PixelRules
    if table == ["out_of_domain"]:
        return OutOfDomain
    return DetectorRules if table[0] == "detectors" and len(table) == 2 else Band


def _is_value(table: list[int | str], name: int | str) -> bool:
    """Return whether a path holds a value, not a table, even for a domain that is called `name`."""
    at_user_name = bool(table) and table[-1] in {"detectors", "domains"}
    return not at_user_name and name in _ALLOWED
