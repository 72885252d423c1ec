"""TAR and ZIP archives as sources, plain or compressed."""
