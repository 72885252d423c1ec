"""What a row is and where rows live: schemas, images, sources, shards, the lake.

Nothing here imports torch or prefect.
"""
