"""The commands that assay prints: quoted, and good from any folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from .source_paths import absolute_source


def command(*words: object, lake: str | None = None, **options: Any) -> str:
    """Return a command of assay as a shell reads it.

    Args:
        *words: Verb and arguments.
        lake: Address of the lake, made absolute, as the last option; None for a verb without one.
        **options: Values by option name. None, False and empty ones are left out, True is the
            bare flag, a sequence repeats its option.
    """
    parts = ["assay", *map(str, words)]
    where = {"lake": None if lake is None else absolute_source(lake)}
    for name, value in (options | where).items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            parts += [part for one in value for part in _option(flag, str(one))]
        elif value is not None and value is not False and value != "":
            parts += _option(flag, str(value))
    return shlex.join(parts)


def _option(flag: str, value: str) -> tuple[str, ...]:
    """Return an option as words; a value that begins with a hyphen would read as one itself."""
    return (f"{flag}={value}",) if value.startswith("-") else (flag, value)
