"""The data files of a dataset: their formats, written, and read back."""
