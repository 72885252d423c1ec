"""Evasion of the detector by made images: the table and its page."""
