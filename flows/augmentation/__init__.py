"""The run of a plan, without Prefect: its pictures made, ingested, scored and reported."""
