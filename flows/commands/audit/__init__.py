"""`assay audit`: random samples of decisions, what people's answers say of the rest, and drift."""
