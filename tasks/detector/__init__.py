"""The ViT detector: known checkpoints, how they load, how pixels reach them, where they run."""
