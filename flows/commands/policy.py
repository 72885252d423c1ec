"""`assay policy`: the JSON Schema of policy files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ...data.errors import ConfigError

policy = App(name="policy", help="Policy files: which score clears, which flags.")


@policy.command
def schema(
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Print the JSON Schema of policy files, by which editors check and complete them.

    Args:
        out: File to write it to; on stdout without it.
        overwrite: Replace a file that is there.
    """
    from ...data.user_paths import from_home
    from ...tasks.decide.policy_file import policy_schema

    text = json.dumps(policy_schema(), indent=2) + "\n"
    if out is None:
        print(text, end="")  # noqa: T201
        return
    out = from_home(out)
    try:
        with out.open("w" if overwrite else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{out} is there already; name another file, or add --overwrite"
        ) from error
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written ({error.strerror})") from error
    print(f"{out}: the JSON Schema of policy files")  # noqa: T201
