"""Known hashes: lists of PDQ hashes, exchanged as files, and the images that match them."""
