"""One encoded image: limits before decoding, decoding, and the facts read from it."""
