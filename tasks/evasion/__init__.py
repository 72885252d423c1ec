"""Who evades the detector: the table of made images and its page."""
