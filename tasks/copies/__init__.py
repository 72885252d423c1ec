"""Near-duplicates: pairs by perceptual hash, and groups that are decided together."""
