"""Lists of images as sources: CSV and its kin, JSON, plain lines."""
