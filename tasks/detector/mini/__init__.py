"""The embedded detector: weights, configuration and card; no code."""
