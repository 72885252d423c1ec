"""Similar images: embeddings, the index, neighbours, the contact sheet."""
