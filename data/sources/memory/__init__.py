"""Rows that this process holds: images, arrays, frames, datasets."""
