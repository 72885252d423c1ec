"""How many frames a picture has, without decoding more than the first."""

from __future__ import annotations

from typing import Final

from PIL import Image

# Counting the frames of a GIF walks its blocks one by one, and a hostile file of a few
# megabytes holds millions: the count stops here.
MAX_FRAMES: Final = 10_000
_MAX_BLOCKS: Final = 1_000_000
_INT32_MAX: Final = 2**31 - 1

_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B


def count_frames(raw: bytes, image: Image.Image) -> int:
    """Frames that the file holds or claims to hold, at least 1.

    For a GIF at most `MAX_FRAMES` are counted; the others state a number in their header.
    """
    if image.format == "GIF":
        return max(1, count_gif_frames(raw))
    return min(max(1, int(getattr(image, "n_frames", 1))), _INT32_MAX)


def count_gif_frames(raw: bytes) -> int:
    """Complete frames of a GIF, in [0, `MAX_FRAMES`]; damage ends the count."""
    n_frames = n_blocks = 0
    try:
        at = 13 + _table_bytes(raw[10])
        while n_frames < MAX_FRAMES and n_blocks < _MAX_BLOCKS:
            kind = raw[at]
            if kind == _EXTENSION:
                at += 2
            elif kind == _FRAME:
                at += 10 + _table_bytes(raw[at + 9]) + 1
            elif kind == _END:
                break
            else:
                at += 1
                n_blocks += 1
                continue
            while raw[at]:
                at += raw[at] + 1
                n_blocks += 1
            at += 1
            n_blocks += 1
            n_frames += kind == _FRAME
    except IndexError:
        pass
    return n_frames


def _table_bytes(flags: int) -> int:
    """Size of the colour table that follows, from the flags that announce it."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
