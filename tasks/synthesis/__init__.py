"""Synthesis of a plan's images: parents, jobs, and what is made already."""
