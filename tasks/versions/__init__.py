"""Versions of published datasets: what differs between two, and how one is made again."""
