"""Checks of a made image against its prompt: CLIP adherence and legible words."""
