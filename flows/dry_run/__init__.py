"""Dry runs: counts and paths of what a command would read and write, without changes on disk."""
