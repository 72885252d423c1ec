"""Verbs of the installation and its settings."""
