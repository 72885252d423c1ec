"""A small generator of the SD3.5 classes, trained on one's own photos on a CPU."""
