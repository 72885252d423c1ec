"""Verbs of the command `assay`: their arguments and their output."""
