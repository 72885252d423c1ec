"""Embeddings of images: their rows in a lake, and the nearest of them."""
