"""Commands that assay prints for the user: quoted for a shell, valid from any folder."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from .lake_names import is_named
from .source_paths import absolute_source


def command(*words: object, lake: str | None = None, **options: Any) -> str:
    """Return an assay command, quoted for a shell.

    Args:
        *words: Verb and arguments.
        lake: Address of the lake, written as an absolute path in the last option, or its name as
            a block; None for a verb without a lake.
        **options: Values by option name. None, False and "" are left out, True gives the bare
            flag, a sequence repeats its option.
    """
    parts = ["assay", *map(str, words)]
    is_address = lake is not None and not is_named(lake)
    where = {"lake": absolute_source(str(lake)) if is_address else lake}
    for name, value in (options | where).items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            parts.append(flag)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            parts += [part for item in value for part in _option(flag, str(item))]
        elif value is not None and value is not False and value != "":
            parts += _option(flag, str(value))
    return shlex.join(parts)


def _option(flag: str, value: str) -> tuple[str, ...]:
    """Return an option as words; `=` keeps a value with a leading hyphen from being an option."""
    return (f"{flag}={value}",) if value.startswith("-") else (flag, value)
