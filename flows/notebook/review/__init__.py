"""The review widget of notebooks: images to answer, their display, and answers on disk."""
