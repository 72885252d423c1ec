"""What methods that attack a detector have in common."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import Field

from ...data.errors import SynthError
from .fields import PATH_OR_NAME, InTable, MethodSettings, Role, Steps, Text
from .protocol import REAL, RUN_DETECTOR, Method, Tools

AIMS: Final = {"lower": -1, "raise": 1}
"""Which way an attack moves the logit."""


class AttackingSettings(MethodSettings):
    """Settings of every attack."""

    steps: Annotated[Steps, Field(description="Gradient steps.")] = 20
    detector: Annotated[
        Text | None,
        Role.LOADS,
        InTable(7),
        Field(
            description="Detector that is attacked, by name or folder; the one that scores without "
            f"it; {PATH_OR_NAME}."
        ),
    ] = None
    aim: Annotated[
        Literal["lower", "raise"] | None,
        Field(
            description="Which way the logit is moved; without it photos are to be flagged, and "
            "the others to pass."
        ),
    ] = None


A = TypeVar("A", bound=AttackingSettings)


class AttackingMethod(Method[A]):
    """A method that changes a picture so that a detector is wrong about it."""

    # It counts as what comes of it: see `follows_label`.
    unkeyed = frozenset({"aim"})

    def follows_label(self, settings: A, parent_label: str | None) -> list[Any]:
        """Return which way the logit is moved."""
        return [aim_of(settings, parent_label)]


def attacked(settings: AttackingSettings) -> str:
    """Return the detector that is attacked, as `Needs` has it."""
    return settings.detector or RUN_DETECTOR


def aim_of(settings: AttackingSettings, parent_label: str | None) -> int:
    """Return which way an attack moves the logit: fakes pass, photos are flagged, unless set.

    Raises:
        SynthError: The aim is none of `AIMS`.
    """
    if settings.aim is None:
        return AIMS["raise"] if parent_label == REAL else AIMS["lower"]
    if settings.aim not in AIMS:
        raise SynthError(f"an attack with aim {settings.aim!r}; allowed: {', '.join(AIMS)}")
    return AIMS[settings.aim]


def attack_notes(settings: AttackingSettings, aim: int, tools: Tools) -> dict[str, Any]:
    """Return what the row says of an attack: the exact weights, and which way."""
    return {"attacked": tools.detector_id(settings.detector), "aim": aim}
