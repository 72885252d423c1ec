"""Marks on the fields of settings, conversion to plain values, and messages of refusal."""
