"""Preprocessing: from image bytes to the input of the network."""
