"""An installation, tried out: what it has, and all steps on generated test images."""
