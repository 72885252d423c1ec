"""Watching of folders and prefixes: what is new there is announced, once."""
