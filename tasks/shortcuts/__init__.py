"""Whether the files of a dataset, without their content, tell its classes apart."""
