"""Runs of a lake: the record of one, and its images."""
