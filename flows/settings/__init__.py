"""What is derived from the settings of `flows.request`: options, forms, files, messages."""
