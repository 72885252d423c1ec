"""The labels as the page shows them, with their keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...data.vocabulary import Label


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelButton:
    """One label.

    Attributes:
        label: Word in the tables.
        title: Text of the button.
        meaning: Explanation in one sentence.
        keys: Keys that give this label.
    """

    label: Label
    title: str
    meaning: str
    keys: tuple[str, ...]


LABELS: Final = (
    LabelButton(
        label=Label.REAL,
        title="Real",
        meaning="Made by a camera or by hand, perhaps edited.",
        keys=("1", "r"),
    ),
    LabelButton(
        label=Label.FAKE,
        title="AI-generated",
        meaning="Made by a generator, as a whole.",
        keys=("2", "f"),
    ),
    LabelButton(
        label=Label.LAUNDERED,
        title="Laundered",
        meaning="A real photo processed by no generator: saved again, resized or attacked.",
        keys=("3", "l"),
    ),
    LabelButton(
        label=Label.UNSURE,
        title="Unsure",
        meaning="Impossible to judge; counts as no answer.",
        keys=("4", "u"),
    ),
)
