"""Why an image scores as it does: attention maps, tile maps, patch embeddings."""
