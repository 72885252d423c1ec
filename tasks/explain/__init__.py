"""Explanations of an image's score: attention maps, tile maps, patch embeddings."""
