"""What tells one picture to be made from another: everything that decides its pixels.

A key says nothing of where things stand: the name of a block, the order of blocks, the path of
the plan or of a file that is known by its content. So an edited plan keeps the pictures that it
still asks for, and a file that was replaced makes new ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..job import Contents
from ..methods.registry import method_of
from .seeds import row_key

KEY_VERSION: Final = 2
"""Of what the key is made of; 1 was the settings as they stand in the plan."""


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
        method: How the picture is made.
        settings: One set of the method's settings.
        parent_id: Id of the parent's bytes.
        parent_label: Label of the parent; decides the aim of attacks and what the file says.
        seed: Seed of the plan.
        contents: What names in the settings stand for.
    """
    kind = method_of(method)
    left_out = kind.measured | kind.unkeyed
    decisive = {
        name: _canonical(value)
        for name, value in {**kind.defaults, **settings, **contents.pixels}.items()
        # An empty text is none: no negative prompt, no adapter.
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
    """Return the key of a job's settings as they stand in the plan, names for contents."""
    left_out = method_of(method).measured
    drawn = {name: value for name, value in settings.items() if name not in left_out}
    return row_key(method=method, settings=drawn, parent=parent_id, seed=seed)


def _canonical(value: Any) -> Any:
    """Numbers that are equal alike: 1 and 1.0 make the same picture."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
