"""Blocks of a Prefect server: a lake with the credentials of its store."""
