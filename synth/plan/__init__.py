"""The plan of images to make: its file, settings, prompts, seeds and job keys."""
