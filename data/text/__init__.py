"""Text from outside: made valid, printable, short, and free of secrets."""
