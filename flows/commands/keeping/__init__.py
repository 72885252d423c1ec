"""Verbs that care for a lake."""
