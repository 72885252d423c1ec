"""`assay review label-studio`: the labelling interface of Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ..options import DryRun, Flag, print_effects, print_result


def label_studio(
    *, to: Path | None = None, overwrite: Annotated[bool, Flag] = False, dry_run: DryRun = False
) -> None:
    """Print the labelling interface for Label Studio: labels, reasons and a note, as XML.

    Args:
        to: File for the interface [default: stdout].
        overwrite: An existing file is replaced.
        dry_run: Path of the file that would be written; nothing is changed.
    """
    from ....data.user_paths import from_home, write_output
    from ....tasks.browse.row_file import require_row_file
    from ....tasks.exchange.label_studio_interface import interface_xml

    if to is None:
        print(interface_xml(), end="")  # noqa: T201
        return
    to = from_home(to)
    require_row_file(to, overwrite=overwrite)
    if dry_run:
        from ...dry_run.effects import Effect, Effects

        print_effects(Effects(writes=[Effect(1, "labelling interface", str(to))]))
        return
    write_output(to, interface_xml().encode())
    print_result(
        lambda: f"written     {to.absolute()}",
        paths=[to.absolute()],
        values={"file": str(to.absolute())},
        as_json=False,
    )
