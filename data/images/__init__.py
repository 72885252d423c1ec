"""One encoded image: limits checked before decoding, decoding, and facts about the image."""
