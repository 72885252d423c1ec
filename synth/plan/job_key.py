"""Keys of jobs, from everything that decides the pixels of an image.

A key does not depend on names and places: the name of a block, the order of blocks, the path of the
plan or of a file that is identified by its content. So an edited plan keeps the images that it
still names, and a replaced file gives new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..job import Contents
from ..methods.registry import method_of
from .seeds import row_key

KEY_VERSION: Final = 2
"""Version of the key's composition; version 1 was the settings as written in the plan."""


def key_of(
    method: str,
    settings: Mapping[str, Any],
    *,
    parent_id: str | None,
    parent_label: str | None,
    seed: int,
    contents: Contents,
) -> str:
    """Return the key of a job, 24 hex digits.

    Args:
        method: Name of the method.
        settings: One set of the method's settings.
        parent_id: Image id of the parent; None for methods without one.
        parent_label: Label of the parent; it decides the aim of attacks and the mark in the file.
        seed: Seed of the plan.
        contents: Ids and hashes of what the settings name.

    Raises:
        ConfigError: There is no such method.
    """
    kind = method_of(method)
    left_out = kind.measured | kind.unkeyed
    decisive = {
        name: _canonical(value)
        for name, value in {**kind.defaults, **settings, **contents.pixels}.items()
        # An empty text counts as None: no negative prompt, no adapter.
        if name not in left_out and value is not None and value != ""
    }
    return row_key(
        version=KEY_VERSION,
        method=method,
        settings=decisive,
        parent=parent_id,
        follows=kind.follows_label(kind.settings_of(settings), parent_label),
        seed=seed if kind.is_seeded else None,
    )


def recipe_of(method: str, settings: Mapping[str, Any], *, parent_id: str | None, seed: int) -> str:
    """Return the key of a job's settings as written in the plan, with names in place of contents.

    Args:
        method: Name of the method.
        settings: One set of the method's settings.
        parent_id: Image id of the parent; None for methods without one.
        seed: Seed of the plan.

    Raises:
        ConfigError: There is no such method.
    """
    left_out = method_of(method).measured
    drawn = {name: value for name, value in settings.items() if name not in left_out}
    return row_key(method=method, settings=drawn, parent=parent_id, seed=seed)


def _canonical(value: Any) -> Any:
    """Return whole floats as integers, since 1 and 1.0 make the same image."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
