"""Verbs that show what a lake holds."""
