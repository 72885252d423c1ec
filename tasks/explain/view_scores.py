"""Scores of one image's centre square and tiles, with a drawing of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...data.errors import InputError
from ...data.images.decode import decode_rgb
from ...data.text.wording import counted
from ..detector.detector import Detector
from ..detector.inputs.preprocess import preprocess, square_in_image
from ..views import View, views_of
from .view_map import draw_views


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewScores:
    """Logits of an image's centre square and of its tiles, and a PNG that shows them."""

    detector_id: str
    centre_logit: float
    views: Sequence[View]
    png: bytes

    @property
    def highest(self) -> View | None:
        """View with the highest logit; None where none could be scored."""
        return highest_of(self.views)

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        tiles = [
            {
                "view": view.tile.name,
                "left_px": view.tile.left_px,
                "top_px": view.tile.top_px,
                "side_px": view.tile.side_px,
                "logit": view.logit,
            }
            for view in self.views
            if view.tile is not None
        ]
        return {"detector": self.detector_id, "centre_logit": self.centre_logit, "tiles": tiles}

    def summary(self) -> str:
        """Return the centre's logit and the highest tile, one line each."""
        lines = [f"centre      logit {self.centre_logit:+.3f} by {self.detector_id}"]
        highest = self.highest
        if highest is not None and highest.tile is not None:
            tile = highest.tile
            right, bottom = tile.left_px + tile.side_px, tile.top_px + tile.side_px
            lines.append(
                f"highest     logit {highest.logit:+.3f}, {tile.name}: x {tile.left_px}-{right},"
                f" y {tile.top_px}-{bottom}"
            )
        return "\n".join(lines)


def score_views(raw: bytes, detector: Detector, *, name: str) -> ViewScores:
    """Score an image's centre square and its tiles, and draw them.

    Args:
        raw: Encoded bytes of the image.
        detector: Detector to score with.
        name: Name of the image in messages.

    Raises:
        InputError: A side is too short for tiles.
        UnreadableImage: The image cannot be decoded.
    """
    picture = decode_rgb(raw, detector.profile.decode)
    centre = float(detector.forward(preprocess(raw, detector.profile)[None])[0][0])
    views = views_of(raw, detector)
    if not views:
        raise InputError(
            f"{name} is {picture.width} x {picture.height} px; tiles need sides of"
            f" {detector.profile.crop_px} px or more; its centre square has logit {centre:+.3f}"
        )
    highest = highest_of(views)
    title = f"centre logit {centre:+.3f}, highest of {counted(len(views), 'tile')} "
    title += "none" if highest is None else f"{highest.logit:+.3f}"
    square_px = square_in_image(picture.size, detector.profile)
    return ViewScores(
        detector_id=detector.detector_id,
        centre_logit=centre,
        views=views,
        png=draw_views(picture, views, title=title, centre_px=square_px),
    )


def highest_of(views: Sequence[View]) -> View | None:
    """Return the view with the highest logit, the first of equal ones; None without logits."""
    scored = [view for view in views if view.logit is not None]
    return max(scored, key=lambda view: view.logit or 0.0, default=None)
