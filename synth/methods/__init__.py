"""Synthesis methods, each of which makes the image of a job."""
