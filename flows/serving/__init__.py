"""Scheduled runs: the deployment and the Prefect server."""
