"""Output of a JSON Schema to stdout or a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data.errors import ConfigError
from ...data.user_paths import from_home
from ..dry_run.effects import Effect, Effects
from .options import print_effects


def print_schema(
    schema: Mapping[str, Any],
    what: str,
    *,
    out: Path | None,
    overwrite: bool,
    dry_run: bool = False,
) -> None:
    """Print a JSON Schema, or write it to a file and print the path.

    Args:
        schema: JSON Schema as plain values.
        what: Type of the files that the schema describes, for the message.
        out: File to write; None for stdout.
        overwrite: Whether an existing file is replaced.
        dry_run: Whether to print the effects instead of writing the file.

    Raises:
        ConfigError: The file exists already or cannot be written.
    """
    text = json.dumps(schema, indent=2) + "\n"
    if out is None:
        print(text, end="")  # noqa: T201
        return
    out = from_home(out)
    if dry_run:
        if out.exists() and not overwrite:
            raise _exists(out)
        print_effects(Effects(writes=[Effect(1, f"JSON Schema of {what}", str(out))]))
        return
    try:
        with out.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise _exists(out) from error
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from error
    print(f"{out}: the JSON Schema of {what}")  # noqa: T201


def _exists(out: Path) -> ConfigError:
    return ConfigError(f"{out} exists already; name another file, or pass --overwrite")
