"""Audits: random samples of what was decided, labelled by people, and what follows from them."""
