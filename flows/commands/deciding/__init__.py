"""Verbs of policies and decisions."""
