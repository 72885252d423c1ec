"""Run of a plan without Prefect: generate, ingest, score and report its images."""
