"""`assay policy`: the JSON Schema of policy files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

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
    from ...tasks.decide.policy_file import policy_schema
    from .schema_file import print_schema

    print_schema(policy_schema(), "policy files", out=out, overwrite=overwrite)
