"""Rules on what the pixels of an image show, by the tables `images` and `measures`."""

from __future__ import annotations

from typing import Final

import polars as pl

from .policy import PixelRules

# A graphic: most neighbouring pixels are equal, and few colours cover nine tenths of the image.
GRAPHIC_FLAT_SHARE: Final = 0.6
GRAPHIC_COLOURS: Final = 15

# Formats that lose detail. Of others, few bits per pixel say that the image is simple.
_LOSSY: Final = ("JPEG", "WEBP", "AVIF")

MEASURES: Final = {
    "detail": pl.Float32,
    "jpeg_quality": pl.Int32,
    "bits_per_pixel": pl.Float64,
    "flat_share": pl.Float32,
    "n_colours": pl.Int32,
}
"""Columns that the rules read."""


def bits_per_pixel() -> pl.Expr:
    """Return the encoded bits per pixel of rows of `images`; null for lossless formats."""
    n_pixels = pl.col("width_px").cast(pl.Int64) * pl.col("height_px")
    is_still = pl.col("n_frames") == 1
    return pl.when(pl.col("format").is_in(_LOSSY) & is_still & (n_pixels > 0)).then(
        8.0 * pl.col("n_bytes") / n_pixels
    )


def broken_rules(rules: PixelRules | None) -> dict[str, pl.Expr]:
    """Return whether an image was enlarged, is compressed too heavily, and is a graphic.

    Args:
        rules: Rules of the policy; None: no image breaks any.

    Returns:
        The expressions is_enlarged, is_squeezed and is_graphic, over `MEASURES`, never null.
    """
    rules = rules or PixelRules()
    is_graphic = (pl.col("flat_share") >= GRAPHIC_FLAT_SHARE) & (
        pl.col("n_colours") <= GRAPHIC_COLOURS
    )
    return {
        "is_enlarged": _below("detail", rules.min_detail),
        "is_squeezed": _below("jpeg_quality", rules.min_jpeg_quality)
        | _below("bits_per_pixel", rules.min_bits_per_pixel),
        "is_graphic": is_graphic.fill_null(value=False) & (rules.graphics == "review"),
    }


def _below(measure: str, limit: float | None) -> pl.Expr:
    """Return whether a measure is known and below a limit; None is no limit."""
    if limit is None:
        return pl.lit(value=False)
    return (pl.col(measure).cast(pl.Float32) < pl.lit(limit, pl.Float32)).fill_null(value=False)
