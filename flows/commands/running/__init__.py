"""Verbs that start or announce runs."""
