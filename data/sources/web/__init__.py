"""Images from http and https: checked addresses, limits, content codings."""
