"""Embedded detector: weights, configuration and card, without code."""
