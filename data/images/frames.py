"""Number and durations of the frames of an image, read without decoding."""

from __future__ import annotations

from typing import Final

from PIL import Image

# Counting the frames of a GIF takes a walk over its blocks, and a hostile file of a few megabytes
# has millions. The count stops at these limits.
MAX_FRAMES: Final = 10_000
_MAX_BLOCKS: Final = 1_000_000
_INT32_MAX: Final = 2**31 - 1

_EXTENSION, _FRAME, _END, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_BRIEFEST_MS: Final = 10
_AT_ONCE_MS: Final = 100


def count_frames(raw: bytes, image: Image.Image) -> int:
    """Return the number of frames, at least 1.

    GIF frames are counted, up to `MAX_FRAMES`; other formats declare the number in their header.
    """
    if image.format == "GIF":
        return max(1, count_gif_frames(raw))
    return min(max(1, int(getattr(image, "n_frames", 1))), _INT32_MAX)


def count_gif_frames(raw: bytes) -> int:
    """Count the complete frames of a GIF, in [0, `MAX_FRAMES`]; damage ends the count."""
    return len(_gif_durations_ms(raw))


def frame_durations_ms(raw: bytes, format_name: str) -> list[int]:
    """Return the duration of each frame of GIF, PNG, WebP and AVIF; [] for other formats.

    A duration of 10 ms or less counts as 100 ms, as in browsers. At most `MAX_FRAMES` frames.
    """
    if format_name == "GIF":
        durations_ms = _gif_durations_ms(raw)
    elif format_name == "PNG":
        durations_ms = _png_durations_ms(raw)
    elif format_name == "WEBP":
        durations_ms = _webp_durations_ms(raw)
    elif format_name == "AVIF":
        durations_ms = _avif_durations_ms(raw)
    else:
        durations_ms = []
    return [_AT_ONCE_MS if duration <= _BRIEFEST_MS else duration for duration in durations_ms]


def _gif_durations_ms(raw: bytes) -> list[int]:
    """Return the delay of each complete frame."""
    durations_ms: list[int] = []
    delay_ms = n_blocks = 0
    try:
        at = 13 + _table_bytes(raw[10])
        while len(durations_ms) < MAX_FRAMES and n_blocks < _MAX_BLOCKS:
            kind = raw[at]
            if kind == _EXTENSION:
                if raw[at + 1] == _CONTROL:
                    delay_ms = 10 * int.from_bytes(raw[at + 4 : at + 6], "little")
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
            if kind == _FRAME:
                durations_ms.append(delay_ms)
                delay_ms = 0
    except IndexError:
        pass
    return durations_ms


def _png_durations_ms(raw: bytes) -> list[int]:
    durations_ms: list[int] = []
    at = 8
    while at + 8 <= len(raw) and len(durations_ms) < MAX_FRAMES:
        n_body = int.from_bytes(raw[at : at + 4], "big")
        if raw[at + 4 : at + 8] == b"fcTL":
            count = int.from_bytes(raw[at + 28 : at + 30], "big")
            per_second = int.from_bytes(raw[at + 30 : at + 32], "big") or 100
            durations_ms.append(1000 * count // per_second)
        at += 12 + n_body
    return durations_ms


def _webp_durations_ms(raw: bytes) -> list[int]:
    durations_ms: list[int] = []
    at = 12
    while at + 8 <= len(raw) and len(durations_ms) < MAX_FRAMES:
        n_body = int.from_bytes(raw[at + 4 : at + 8], "little")
        if raw[at : at + 4] == b"ANMF":
            durations_ms.append(int.from_bytes(raw[at + 20 : at + 23], "little"))
        at += 8 + n_body + n_body % 2
    return durations_ms


def _avif_durations_ms(raw: bytes) -> list[int]:
    """Return the durations of the first track, from its time scale (mdhd) and table (stts)."""
    movie = raw.find(b"moov")
    head, table = raw.find(b"mdhd", movie), raw.find(b"stts", movie)
    if min(movie, head, table) < 0:
        return []
    # Two times precede the scale, of 4 bytes each or, in version 1, of 8.
    at = head + (24 if raw[head + 4 : head + 5] == b"\1" else 16)
    per_second = int.from_bytes(raw[at : at + 4], "big") or 1000
    durations_ms: list[int] = []
    n_entries = int.from_bytes(raw[table + 8 : table + 12], "big")
    for at in range(table + 12, min(table + 12 + 8 * n_entries, len(raw) - 7), 8):
        n_frames = int.from_bytes(raw[at : at + 4], "big")
        duration_ms = 1000 * int.from_bytes(raw[at + 4 : at + 8], "big") // per_second
        durations_ms += [duration_ms] * min(n_frames, MAX_FRAMES - len(durations_ms))
        if len(durations_ms) >= MAX_FRAMES:
            break
    return durations_ms


def _table_bytes(flags: int) -> int:
    """Return the size in bytes of the colour table that the flags declare."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
