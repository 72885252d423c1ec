"""The report of a run: its record, its figures and its HTML page."""
