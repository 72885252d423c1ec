"""Answers and tasks as files: CSV, JSON lines, and the formats of Label Studio."""
