"""Measures of pixels, taken of the images whose decisions depend on them."""
