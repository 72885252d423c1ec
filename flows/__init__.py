"""How work is started and composed: Prefect flows, the command line, notebooks, schedules."""
