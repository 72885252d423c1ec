"""Training of the embedded detector: pictures, views, model, fit, figures and card."""
