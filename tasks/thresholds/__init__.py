"""Decisions of a run at other thresholds: counts, precision and the policy that would give them."""
