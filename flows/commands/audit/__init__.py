"""`assay audit`: random samples of what was decided, and what people's answers say of the rest."""
