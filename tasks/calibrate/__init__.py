"""From labelled images to thresholds with a guarantee: bounds, p-values, probabilities."""
