"""The embedded generator's files; see README.md beside this."""
