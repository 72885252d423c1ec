"""External text: made valid, printable, short, and free of secrets."""
