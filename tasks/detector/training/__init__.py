"""Training of the embedded detector: images, views, model, fit, evaluation and card."""
