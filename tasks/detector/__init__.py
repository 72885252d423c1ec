"""The detector: checkpoints, loading, preprocessing, backends and training."""
