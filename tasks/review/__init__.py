"""Answers of reviewers: journal, leases, queue."""
