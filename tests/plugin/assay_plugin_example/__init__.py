"""An example package with one detector, generator, method and source for assay."""
