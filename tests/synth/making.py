"""What methods work with, for tests: functions in the place of generators and detectors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from assay.synth.generators.protocol import CallableGenerator, ImageRequest
from assay.synth.job import Job


def brightness(pixels):
    """A detector whose gradient is the same everywhere: the mean, times a hundred."""
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
        """The one there is, by whatever name."""
        return self._generator

    def logits(self, detector=None):
        """The brightness."""
        return brightness

    def detector_id(self, detector=None):
        """A name for it."""
        return "brightness@1"

    def path(self, name):
        """The path as it stands."""
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
    """A file as stored, not turned, in the mode it has."""
    with Image.open(io.BytesIO(raw)) as image:
        return np.asarray(image)
