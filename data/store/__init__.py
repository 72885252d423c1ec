"""The lake: its files, tables and shards, and detection of damage to them."""
