"""Tools for checkpoints: list, convert, verify, quantise."""
