"""Decisions made again from stored scores, as runs of their own."""
