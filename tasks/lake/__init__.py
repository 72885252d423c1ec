"""Maintenance of a lake: check before a run, full check, repair, removal of leftovers."""
