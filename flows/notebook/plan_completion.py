"""Completion within the plan of a `%%assay_plan` cell: settings of a block, and names as values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...data.errors import ConfigError

_NAME: Final = re.compile(r"^\s*([\w-]*)$")
_VALUE: Final = re.compile(r"^\s*(\w+)\s*=\s*(?:\[[^\]]*)?\"([\w.-]*)$")
_TABLE: Final = re.compile(r"^\s*\[+\s*(\w+)")
_METHOD: Final = re.compile(r"^\s*method\s*=\s*\"([\w-]+)\"")


def plan_completions(lines: Sequence[str]) -> list[str]:
    """Return the words that complete the last line of a plan; [] if none does.

    Args:
        lines: Lines of the plan up to the cursor.
    """
    before, line = lines[:-1], lines[-1]
    table = next((found[1] for one in reversed(before) if (found := _TABLE.match(one))), None)
    if value := _VALUE.match(line):
        return [word for word in _values(value[1]) if word.startswith(value[2])]
    if (name := _NAME.match(line)) and name[1]:
        block = _block(before)
        given = {one.partition("=")[0].strip() for one in block}
        known = _settings(table, block)
        return [word for word in known if word.startswith(name[1]) and word not in given]
    return []


def plan_fragment(line: str) -> str:
    """Return the end of a plan's line that a completion replaces."""
    found = _VALUE.match(line)
    return found[2] if found else line.strip()


def _block(lines: Sequence[str]) -> list[str]:
    """Return the lines since the last header of a table."""
    start = max((at for at, line in enumerate(lines) if _TABLE.match(line)), default=-1)
    return list(lines[start + 1 :])


def _settings(table: str | None, block: Sequence[str]) -> list[str]:
    from ...synth.methods.registry import method_of
    from ...synth.plan.models import BlockNames, block_model
    from ...synth.plan.plan import Parents

    if table == "parents":
        return sorted(Parents.model_fields)
    if table != "make":
        return ["seed"] if table is None else []
    found = [match[1] for line in block if (match := _METHOD.match(line))]
    try:
        return sorted(block_model(method_of(found[0])).model_fields) if found else [
            "method", *sorted(BlockNames.model_fields),
        ]  # fmt: skip
    except ConfigError:
        return []


def _values(name: str) -> list[str]:
    from ...synth.generators.registry import generator_names
    from ...synth.methods.registry import method_names

    if name == "method":
        return sorted(method_names())
    if name in {"generator", "autoencoder"}:
        return sorted(generator_names())
    return ["any", "fake", "near", "real"] if name == "choose" else []
