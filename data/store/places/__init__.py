"""Places of published datasets in object stores."""
