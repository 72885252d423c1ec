"""Runs on a schedule: the deployment, its settings, the Prefect server."""
