"""Measurements of an image against its prompt: CLIP similarity and legible text."""
