"""Adds to assay what its entry points name."""
