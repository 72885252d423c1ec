"""What a process sets before it works: threads, allocator, signals, terminal, Prefect home."""
