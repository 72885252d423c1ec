"""Object stores as places of sources: their addresses, listings, and files with random reads."""
