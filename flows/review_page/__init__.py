"""The review page: a small web application on which people answer what the detector asks."""
