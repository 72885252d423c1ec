"""Events of runs, batches and datasets, for Prefect's triggers and people."""
