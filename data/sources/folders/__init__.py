"""Folders as sources: the walk, globs, sidecar tables, and one file read safely."""
