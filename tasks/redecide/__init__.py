"""Decisions made again under another policy: what changes, from what to what."""
