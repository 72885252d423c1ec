"""How the embedded generator was trained, to be done again on other photos."""
