"""Work on the files of tables that changes no rows, and repairs: merges, rewrites, logs."""
