"""Scores of an image as it is delivered: saved again."""
