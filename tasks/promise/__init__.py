"""What thresholds promise: guarantee, precision of a flag, reliability, and the words for it."""
