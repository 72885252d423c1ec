"""Dry runs of `review export` and `review import`."""

from __future__ import annotations

from pathlib import Path

from ...data.store.lake import Lake
from ...tasks.exchange.chosen import Chosen
from ...tasks.exchange.import_answers import Import
from .effects import Effect, Effects


def export_effects(chosen: Chosen, to: Path, *, is_tasks: bool) -> Effects:
    """Return the effects of an export of answers or of tasks.

    Args:
        chosen: Images and reviewers.
        to: File to write.
        is_tasks: Whether the file has images as tasks for Label Studio.

    Raises:
        InputError: The lake has no such run.
        StoreError: The lake cannot be read.
    """
    if is_tasks:
        n, what = sum(part.height for part in chosen.parts()), "images"
    else:
        n, what = chosen.answers().height, "answers"
    written = "tasks" if is_tasks else "rows"
    return Effects(reads=[Effect(n, what, chosen.lake.uri)], writes=[Effect(n, written, str(to))])


def import_effects(lake: Lake, checked: Import) -> Effects:
    """Return the effects of an import.

    Args:
        lake: Lake of the images.
        checked: Answers of the file, checked against the lake.
    """
    n_read = len(checked.answers) + checked.n_known + len(checked.unknown)
    return Effects(
        reads=[Effect(n_read, "answers", str(checked.file))],
        writes=[Effect(len(checked.answers), "answers", lake.uri)],
    )
