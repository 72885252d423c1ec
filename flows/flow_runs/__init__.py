"""What a run shows on a Prefect server, and how its tasks are retried."""
