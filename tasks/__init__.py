"""The steps of a run, each a plain function first: ingest, score, decide, report, publish."""
