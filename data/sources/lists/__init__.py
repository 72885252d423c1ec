"""Lists of images as sources: CSV, TSV and similar, JSON, plain lines."""
