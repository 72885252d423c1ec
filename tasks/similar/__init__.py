"""Search for similar images: embeddings, their index, neighbours, the contact sheet."""
