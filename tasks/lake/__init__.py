"""Care of a lake: fit to work on, checked, repaired, swept."""
