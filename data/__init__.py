"""Schemas, images, sources, shards and the lake.

Nothing here imports torch or prefect.
"""
