"""The lake: its files, tables and shards, and what damage to them looks like."""
