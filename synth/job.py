"""A job: one picture to be made, as a plan lists it and a method makes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the names in a job's settings stand for at the moment."""

    pixels: Mapping[str, Any] = field(default_factory=dict)
    """Ids and hashes that decide the pixels, in the place of the settings of their name."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """Ids of what measures the picture."""
    recorded: Mapping[str, str | None] | None = None
    """What a row of version 1 says of a picture from the same contents; None: not enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture to be made."""

    key: str
    """Of everything that decides the pixels."""
    block: str
    method: str
    settings: Mapping[str, Any]
    """One value per setting, as the plan has them; defaults are not filled in."""
    seed: int
    recipe: str = ""
    """Of the settings as they stand in the plan, names for contents."""
    parent_id: str | None = None
    parent_label: str | None = None
    contents: Contents = field(default_factory=Contents)

    @property
    def measured(self) -> str:
        """What measures the picture, as text."""
        return json.dumps(dict(self.contents.measures), sort_keys=True)
