"""From scores to decisions: the policy file and the rule that applies it."""
