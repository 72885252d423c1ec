"""The functions of `import assay`: a run, scores without a lake, a detector to call."""
