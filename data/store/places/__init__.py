"""Places of published datasets: folders, and prefixes of object stores."""
