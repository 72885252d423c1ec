"""Access to a lake: one image, lists of images and runs, SQL, and exports."""
