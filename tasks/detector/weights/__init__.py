"""Checkpoints: the registry, where files come from, what they are."""
