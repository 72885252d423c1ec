"""Common settings and aims of the methods that attack a detector."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field

from ...data.errors import SynthError
from .fields import PATH_OR_NAME, InTable, MethodSettings, Role, Steps, Text
from .protocol import REAL, RUN_DETECTOR, Method, Tools

AIMS: Final = {"lower": -1, "raise": 1}
"""Sign of the change of the logit, by aim."""


class AttackingSettings(MethodSettings):
    """Settings of every attack."""

    steps: Annotated[Steps, Field(description="Number of gradient steps.")] = 20
    detector: Annotated[
        Text | None,
        Role.LOADS,
        InTable(7),
        Field(
            description="Detector to attack, by name or folder; default: the detector of the run; "
            f"{PATH_OR_NAME}."
        ),
    ] = None
    aim: Annotated[
        Literal["lower", "raise"] | None,
        Field(
            description="Direction in which the logit is moved; default: raise for photos, so that "
            "they are flagged, and lower for all others, so that they pass."
        ),
    ] = None


A = TypeVar("A", bound=AttackingSettings)


class AttackingMethod(Method[A]):
    """A method that makes adversarial examples against a detector."""

    # The key holds the resulting direction instead: see `follows_label`.
    unkeyed = frozenset({"aim"})

    def follows_label(self, settings: A, parent_label: str | None) -> list[Any]:
        """Return the direction in which the logit is moved."""
        return [aim_of(settings, parent_label)]


def attacked(settings: AttackingSettings) -> str:
    """Return the detector to attack, in the form of `Needs.detector`."""
    return settings.detector or RUN_DETECTOR


def aim_of(settings: AttackingSettings, parent_label: str | None) -> int:
    """Return the direction in which an attack moves the logit, -1 or 1.

    Args:
        settings: Settings of the attack; without an aim, photos are flagged and all others pass.
        parent_label: Label of the parent.

    Raises:
        SynthError: The aim is not one of `AIMS`.
    """
    if settings.aim is None:
        return AIMS["raise"] if parent_label == REAL else AIMS["lower"]
    if settings.aim not in AIMS:
        raise SynthError(f"aim = {settings.aim!r}; allowed: {', '.join(AIMS)}")
    return AIMS[settings.aim]


def attack_notes(settings: AttackingSettings, aim: int, tools: Tools) -> dict[str, Any]:
    """Return the notes of an attack for its row: the detector's id and the direction."""
    return {"attacked": tools.detector_id(settings.detector), "aim": aim}
