"""Choice of a checkpoint's backend on this machine, by measured speed and drift."""
