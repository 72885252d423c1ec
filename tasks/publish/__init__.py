"""Published datasets: rows, splits, files and the dataset card."""
