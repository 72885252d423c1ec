"""How far reviewers agree: with one another, with golden items, and how fast they work."""
