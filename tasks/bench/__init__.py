"""Benchmarks of a detector's backends and precisions: speed, and drift from PyTorch in fp32."""
