"""What every HTML page shares: thumbnails and the score histogram."""
