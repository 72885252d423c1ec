"""The plan of images to make: file, settings, seeds and job keys."""
