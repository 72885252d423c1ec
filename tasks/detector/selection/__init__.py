"""Which backend runs a checkpoint on this machine, by measured rate and drift."""
