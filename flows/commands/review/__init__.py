"""`assay review`: answers of people, one file per verb or group of verbs."""
