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
from .policy import MAX_EDGE_PX, MISSING, REFUSED, Band, DetectorRules, Policy

PACKAGED_POLICY: Final = Path(__file__).with_name("policy.toml")

_UNKNOWN: Final = "extra_forbidden"
_ALLOWED: Final = {
    "name": "1 to 64 letters, digits, '.', '_' or '-', a letter or digit first",
    "min_short_edge_px": f"a whole number from 0 to {MAX_EDGE_PX}",
    "unlisted_domain": '"default" or "review"',
    "review_at": "a number from 0 to 1",
    "flag_at": "a number from 0 to 1",
}


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file, the packaged one when no path is given.

    Raises:
        ConfigError: The file cannot be read, is not TOML, has an unknown or missing key, or a
            value outside its range; the message names file, key, value, and what is allowed.
    """
    file = PACKAGED_POLICY if path is None else Path(path)
    try:
        values = read_toml(file)
    except OSError as error:
        raise ConfigError(
            f"policy {file}: cannot be read ({error.strerror}); "
            "give --policy a TOML file, or leave it out for the packaged one"
        ) from error
    except ValueError as error:
        raise ConfigError(
            f"policy {file}: is not TOML ({error}); correct it, or start from {PACKAGED_POLICY}"
        ) from error
    return policy_from_dict(values, source=str(file))


def policy_from_dict(values: Mapping[str, Any], *, source: str) -> Policy:
    """Check plain values and return the policy.

    Args:
        values: Rules by name, as a file holds them.
        source: What messages call the file.

    Raises:
        ConfigError: As for `load_policy`.
    """
    try:
        return Policy.model_validate(dict(values))
    except ValidationError as error:
        # A misspelt key is told first: what is missing beside it is the same slip.
        first = min(error.errors(), key=lambda detail: detail["type"] != _UNKNOWN)
        raise ConfigError(f"policy {source}: {_reason(first)}") from error


def policy_schema() -> dict[str, Any]:
    """Return the JSON Schema of policy files, by which editors check and complete them."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Policy.model_json_schema(),
        "title": "assay policy",
    }


def _reason(error: ErrorDetails) -> str:
    """Return what was seen, what is allowed and what to do, in one line."""
    *table, name = error["loc"]
    value = error["input"]
    if error["type"] == _UNKNOWN:
        allowed = tuple(_model_at(table).model_fields)
        return (
            f"unknown key {shorten(_spelled(error['loc']), 80)} = {shown(value)}; "
            f"allowed here: {', '.join(allowed)}; correct its spelling or remove it"
            f"{did_you_mean(name, allowed)}"
        )
    key = _spelled(error["loc"])
    if error["type"] == MISSING:
        # The rule over both thresholds of a detector names the one that is not there.
        key = f"{key}.{error['ctx']['name']}" if "ctx" in error else key
        return f"{key} is missing; add it, see {PACKAGED_POLICY}"
    if error["type"] == REFUSED:
        allowed_text = f"at most {key}.flag_at, which is {error['ctx']['flag_at']}"
        key, value = f"{key}.review_at", value["review_at"]
    else:
        is_value = _is_value(table, name)
        allowed_text = _ALLOWED[str(name)] if is_value else f"a table, written [{key}]"
    return f"{key} = {shown(value)}; allowed: {allowed_text}; correct the file"


def _spelled(loc: tuple[int | str, ...] | list[int | str]) -> str:
    """Return a place as TOML spells it; names that users give stand in quotes."""
    return ".".join(
        f'"{part}"' if at and loc[at - 1] in {"detectors", "domains"} else str(part)
        for at, part in enumerate(loc)
    )


def _model_at(table: list[int | str]) -> type[BaseModel]:
    """Return the model of the table at a place."""
    if not table:
        return Policy
    return DetectorRules if table[0] == "detectors" and len(table) == 2 else Band


def _is_value(table: list[int | str], name: int | str) -> bool:
    """Whether a place holds a value rather than a table, also where a domain is called `name`."""
    at_user_name = bool(table) and table[-1] in {"detectors", "domains"}
    return not at_user_name and name in _ALLOWED
