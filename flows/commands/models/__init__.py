"""Verbs of detectors and generators."""
