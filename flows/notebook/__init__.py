"""Jupyter and marimo: magics, completion of their options, and the review widget."""

from .magics import AssayMagics, load_ipython_extension

__all__ = ["AssayMagics", "load_ipython_extension"]
