"""Process setup: threads, allocator, signals, terminal, Prefect home."""
