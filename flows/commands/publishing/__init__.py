"""Verbs of published datasets."""
