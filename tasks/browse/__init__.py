"""Looking through a lake: one image, lists of images and runs, SQL, and rows as files."""
