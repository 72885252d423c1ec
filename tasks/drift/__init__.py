"""Drift: whether two populations of images differ in scores, embeddings, sizes or encodings."""
