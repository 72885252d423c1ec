"""`assay policy`: the JSON Schema of policy files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App

from .options import DryRun, Flag

policy = App(name="policy", help="Describe policy files, which set the decision thresholds.")


@policy.command
def schema(
    *,
    out: Path | None = None,
    overwrite: Annotated[bool, Flag] = False,
    dry_run: DryRun = False,
) -> None:
    """Print the JSON Schema of policy files, for validation and completion in editors.

    Args:
        out: File for the schema [default: stdout].
        overwrite: An existing file is replaced.
        dry_run: Path of the file that would be written; nothing is changed.
    """
    from ...tasks.decide.policy_file import policy_schema
    from .schema_file import print_schema

    print_schema(policy_schema(), "policy files", out=out, overwrite=overwrite, dry_run=dry_run)
