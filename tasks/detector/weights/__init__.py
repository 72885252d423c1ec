"""Checkpoints: the registry, the sources of their files, and their checks."""
