"""How long work is done: in threads, in order, and with what is kept when it is stopped."""
