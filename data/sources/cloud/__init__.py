"""Sources in object stores: objects, prefixes and globs."""
