"""A job: one image to make, as listed by a plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Ids and hashes of what a job's settings name at present."""

    pixels: Mapping[str, Any] = field(default_factory=dict)
    """Ids and hashes that decide the pixels; they replace the settings of the same name."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """Ids of the models that measure the image."""
    recorded: Mapping[str, str | None] | None = None
    """Columns of a row with a key of version 1 and the same contents; None: not enough to tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image to make."""

    key: str
    """Key of everything that decides the pixels, 24 hex digits."""
    block: str
    """Name of the plan's block."""
    method: str
    """Name of the method."""
    settings: Mapping[str, Any]
    """Settings as in the plan, one value each, without defaults."""
    seed: int
    """Seed of the image, in [0, 2**63)."""
    recipe: str = ""
    """Key of the settings as written in the plan, with names in place of contents."""
    parent_id: str | None = None
    """Image id of the parent; None for methods without one."""
    parent_label: str | None = None
    """Label of the parent."""
    contents: Contents = field(default_factory=Contents)
    """Ids and hashes of what the settings name."""

    @property
    def measured(self) -> str:
        """Ids of the models that measure the image, as JSON."""
        return json.dumps(dict(self.contents.measures), sort_keys=True)
