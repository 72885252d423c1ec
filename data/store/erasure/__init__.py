"""What is forgotten: tombstones, and shards and data files without what was erased."""
