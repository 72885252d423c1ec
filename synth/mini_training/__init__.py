"""Training of a small generator of the SD3.5 classes on photos, on a CPU."""
