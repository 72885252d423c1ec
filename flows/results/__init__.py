"""Results of runs: counts, tables, cells of a notebook."""
