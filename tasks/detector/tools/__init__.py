"""Work on checkpoints: convert, verify, quantise."""
