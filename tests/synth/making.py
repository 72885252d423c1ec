"""Tools of methods for tests: functions in the place of generators and detectors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from assay.synth.generators.protocol import CallableGenerator, ImageRequest
from assay.synth.job import Job


def brightness(pixels):
    """Return a hundred times the mean as the logit, whose gradient is the same everywhere."""
    return pixels.mean(dim=(1, 2, 3)) * 100


class FunctionTools:
    """Tools with one function as every generator, and brightness as the detector."""

    def __init__(self, function=None, *, generator=None):
        self.asked: list[ImageRequest] = []

        def told(ask):
            self.asked.append(ask)
            return (function or (lambda ask: ask.parent_rgb))(ask)

        self._generator = generator or CallableGenerator(generator_id="painter@1", function=told)

    def generator(self, name, lora=None, controlnet=None):
        """Return the only generator, whatever the name."""
        return self._generator

    def logits(self, detector=None):
        """Return the brightness detector."""
        return brightness

    def detector_id(self, detector=None):
        """Return an id for the brightness detector."""
        return "brightness@1"

    def path(self, name):
        """Return the path unchanged."""
        return Path(name)


def job(method, *, seed=0, parent="p", label="real", key="k", **settings) -> Job:
    return Job(
        key=key,
        block=method,
        method=method,
        settings=settings,
        seed=seed,
        parent_id=parent,
        parent_label=label,
    )


def pixels_of(raw: bytes) -> np.ndarray:
    """Return the pixels of a file as stored, without applying its orientation, in its own mode."""
    with Image.open(io.BytesIO(raw)) as image:
        return np.asarray(image)
