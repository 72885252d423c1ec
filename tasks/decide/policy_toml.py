"""The text of a policy file: every rule that a policy has, in the order of TOML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...data.toml_file import toml_value


def _no_lines(*_table: str) -> Iterable[str]:
    return ()


def policy_toml(
    rules: Mapping[str, Any],
    *,
    above: Callable[..., Iterable[str]] = _no_lines,
    value_text: Callable[[Any], str] = toml_value,
) -> str:
    """Return rules as TOML, which `policy_file` reads back.

    Args:
        rules: Rules by name, as `Policy.as_dict` returns them.
        above: Function from the parts of a table's name to the lines of comment above it.
        value_text: Function from a value to its text.
    """

    def table(values: Mapping[str, Any], *name: str) -> list[str]:
        heading = ".".join((*name[:1], *(_key(part) for part in name[1:])))
        own = [f"{rule} = {value_text(value)}" for rule, value in values.items()]
        return ["", *above(*name), f"[{heading}]", *own]

    tables = {name: value for name, value in rules.items() if isinstance(value, Mapping)}
    lines = [f"{name} = {value_text(value)}" for name, value in rules.items() if name not in tables]
    detectors = tables.pop("detectors", {})
    for name, values in tables.items():
        lines += table(values, name)
    for detector, values in detectors.items():
        if own := {name: value for name, value in values.items() if name != "domains"}:
            lines += table(own, "detectors", detector)
        for domain, band in values["domains"].items():
            lines += table(band, "detectors", detector, "domains", domain)
    return "\n".join(lines) + "\n"


def _key(part: str) -> str:
    """Return a part of a table's name, quoted unless it is the word of a rule."""
    return part if part == "domains" else toml_value(part)
