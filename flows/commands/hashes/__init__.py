"""`assay hashes`: lists of known images by their PDQ hashes, one file per verb."""
