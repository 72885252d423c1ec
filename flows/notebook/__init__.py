"""Jupyter and marimo: magics, completion of their options, and the review widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .magics import AssayMagics, load_ipython_extension

__all__ = ["AssayMagics", "load_ipython_extension"]


def __getattr__(name: str) -> Any:
    """Import the magics on first access: `assay.review` says itself what it lacks."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import magics

    return getattr(magics, name)
