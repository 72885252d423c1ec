"""What a decision has to answer for: an unaltered log, and its reasons in words."""
