"""The journal of a lake: a small SQLite file for rows that must be durable at once."""
