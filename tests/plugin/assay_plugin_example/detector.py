"""A detector without weights: its logit is the energy of fine detail in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assay.tasks.detector.weights.detector_card import Card, Square

STEPS_PX = (1, 2, 4, 8)


class HighFrequency:
    """A detector that calls images with little fine detail AI-generated; an example only."""

    card = Card(
        name="high-frequency",
        version="1",
        licence="Apache-2.0",
        limits="Measures sharpness only: blurred photos score as AI-generated.",
        input=Square(size_px=128),
    )

    def embed(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the horizontal and vertical log energy at each scale, shape (N, 8)."""
        grey = rgb_u8_nhwc.mean(axis=3, dtype=np.float64) / 255
        energies = []
        for step in STEPS_PX:
            across = grey[:, :, step:] - grey[:, :, :-step]
            down = grey[:, step:, :] - grey[:, :-step, :]
            energies += [(change**2).mean(axis=(1, 2)) for change in (across, down)]
        return np.log(np.stack(energies, axis=1) + 1e-6).astype(np.float32)

    def score(self, rgb_u8_nhwc: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return coarse minus fine energy, minus its level for photos, shape (N,)."""
        energy = self.embed(rgb_u8_nhwc)
        coarse, fine = energy[:, -2:].mean(axis=1), energy[:, :2].mean(axis=1)
        return coarse - fine - np.float32(2)
