"""The report of a run: its record, its figures, its page."""
