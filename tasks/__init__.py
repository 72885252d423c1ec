"""The steps of a run as plain functions: ingest, score, decide, report, publish."""
