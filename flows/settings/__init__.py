"""Interfaces derived from the settings of `flows.request`: options, forms, variables, files."""
