"""Where the tasks of a run are done: in this process, or by workers of a Ray or Dask cluster."""
