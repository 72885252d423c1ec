"""Images of a lake held in memory: filtered, counted and paged for pages that answer at once."""
