"""The verbs of the command `assay`: what each takes, and what it prints."""
