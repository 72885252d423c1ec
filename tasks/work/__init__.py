"""Long work: in threads, with results in order, and with counts kept when it is stopped."""
