"""Distinct pictures in any number, cut from a folder of real photos or drawn."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

MIN_MP, MAX_MP = 0.3, 1.0


def photos_between(folder: Path | None, n: int) -> list[bytes]:
    """Return the encoded bytes of `n` distinct JPEGs of 0.3 to 1 MP.

    Files of that size are taken as they are; more are cut from them at other places and encoded
    again at quality 90. Without a folder, smooth noise is drawn, which decodes like a soft photo.
    """
    if folder is None:
        return [_encode(_drawn(seed)) for seed in range(n)]
    kept: list[bytes] = []
    large: list[Path] = []
    for path in sorted(folder.rglob("*.jp*g")):
        with Image.open(path) as picture:
            megapixels = picture.width * picture.height / 1e6
        if MIN_MP <= megapixels <= MAX_MP:
            kept.append(path.read_bytes())
        if megapixels >= MIN_MP:
            large.append(path)
    if not large:
        raise SystemExit(f"no JPEG of {MIN_MP} MP or more below {folder}")
    return (kept + list(_cuts(large, n - len(kept))))[:n]


def _cuts(paths: list[Path], n: int) -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for index in range(max(n, 0)):
        with Image.open(paths[index % len(paths)]) as opened:
            picture = opened.convert("RGB")
            share = rng.uniform(0.8, 0.98)
            width, height = int(picture.width * share), int(picture.height * share)
            left = int(rng.integers(0, picture.width - width + 1))
            top = int(rng.integers(0, picture.height - height + 1))
            cut = picture.crop((left, top, left + width, top + height))
            while cut.width * cut.height > MAX_MP * 1e6:
                cut = cut.resize((cut.width * 9 // 10, cut.height * 9 // 10))
            yield _encode(cut)


def _drawn(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((960, 720), Image.Resampling.BICUBIC)


def _encode(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def write_photos(folder: Path, photos: list[bytes]) -> Path:
    """Write the photos as numbered files, 1,000 per subfolder."""
    for index, raw in enumerate(photos):
        path = folder / f"{index // 1000:03d}" / f"{index:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    return folder
