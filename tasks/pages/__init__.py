"""What every HTML page shares: environment, theme, veil, captions, thumbnails, scripts, data."""
