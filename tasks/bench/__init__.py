"""Backends and precisions of a detector: how fast they are, and how far from fp32 PyTorch."""
