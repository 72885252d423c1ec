"""Opening of one image: checks before decoding, and the reason why a file is unusable.

Every other module opens images through `opened`, so that hostile bytes raise only
`UnreadableImage`, and nothing is printed. Pillow's global settings stay unchanged; images can be
opened from many threads at once.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, cast

from PIL import Image, UnidentifiedImageError

from ..errors import UnreadableImage
from ..vocabulary import Reason
from .budget import refuse_over_budget
from .sniff import Kind, Sniffed, sniff
from .trimming import count_scans, trim_metadata

# Pillow logs some damaged metadata as errors; Python prints them if there is no handler.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Limits on the size of an image, and the accepted formats.

    Attributes:
        max_bytes: Largest size of an encoded image in bytes.
        max_pixels: Largest width times height, checked by the header before decoding. Pillow
            itself refuses more than 178,956,970 pixels. Small files have lower limits, see
            `budget`.
        formats: Pillow's format names. TIFF, HEIC, JPEG XL and others are left out: every decoder
            adds attack surface for hostile bytes.
    """

    max_bytes: int = 64 * 2**20
    max_pixels: int = 100_000_000
    formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "BMP")


DEFAULT_LIMITS: Final = ImageLimits()

# Exceptions of Pillow and its codecs on damaged files.
DAMAGE: Final = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    BufferError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

_BYTES_SHOWN: Final = re.compile(r"""b(['"]).*\1""")
# Valid kinds of bitmaps that Pillow does not support; other values are damage.
_UNREAD_KIND: Final = re.compile(
    r"Unsupported BMP (bitfields layout|compression \([456]\)|pixel depth \((0|2|64)\))"
)
_CUT_PHRASES: Final = ("truncated", "unexpected end", "broken data stream", "buffer overrun")


@contextmanager
def opened(raw: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Iterator[Image.Image]:
    """Open an image and check its header and size, without decoding it.

    An exception of `DAMAGE` raised in the `with` block becomes an `UnreadableImage` too.

    Args:
        raw: Encoded image; any bytes.
        limits: Limits on bytes and pixels, and the accepted formats.

    Raises:
        UnreadableImage: The bytes are empty, not an image, in a format that is not accepted,
            damaged, or beyond a limit.
    """
    sniffed = sniff(raw)
    _refuse_unopened(raw, sniffed, limits)
    formats = (sniffed.name,) if sniffed.name in limits.formats else limits.formats
    trimmed = trim_metadata(raw, sniffed.name)
    try:
        with _quiet(), Image.open(io.BytesIO(trimmed.raw), formats=formats) as image:
            image.info.update(trimmed.info)
            _refuse_undecoded(trimmed.raw, image, sniffed, limits)
            yield image
    except DAMAGE as error:
        reason, detail = _explain(error, raw, sniffed, limits)
        raise UnreadableImage(reason, detail) from error


def _refuse_unopened(raw: bytes, sniffed: Sniffed, limits: ImageLimits) -> None:
    if not raw:
        raise UnreadableImage(Reason.EMPTY, "0 bytes")
    if len(raw) > limits.max_bytes:
        raise too_many_bytes(len(raw), limits)
    accepted = ", ".join(limits.formats)
    if sniffed.kind is Kind.ARCHIVE:
        raise UnreadableImage(
            Reason.NOT_AN_IMAGE,
            f"a {sniffed.name} archive or table; name it as a SOURCE to read its contents",
        )
    if sniffed.kind is Kind.OTHER:
        raise UnreadableImage(Reason.NOT_AN_IMAGE, f"{sniffed.name}; accepted: {accepted}")
    if sniffed.kind is Kind.IMAGE and sniffed.name not in limits.formats:
        raise UnreadableImage(
            Reason.UNSUPPORTED_FORMAT, f"{sniffed.name}; accepted: {accepted}; convert it first"
        )


def _refuse_undecoded(
    raw: bytes, image: Image.Image, sniffed: Sniffed, limits: ImageLimits
) -> None:
    width_px, height_px = image.size
    if width_px * height_px <= 0:
        raise UnreadableImage(Reason.UNREADABLE, f"{sniffed.name} of {width_px}x{height_px} px")
    refuse_over_budget(raw, sniffed.name, image.size, max_pixels=limits.max_pixels)


def too_many_bytes(n_bytes: int | str, limits: ImageLimits) -> UnreadableImage:
    """Return the error for an image larger than `limits.max_bytes`."""
    return UnreadableImage(
        Reason.TOO_MANY_BYTES, f"{n_bytes} bytes; allowed: {limits.max_bytes} (max_bytes)"
    )


def _explain(
    error: BaseException, raw: bytes, sniffed: Sniffed, limits: ImageLimits
) -> tuple[Reason, str]:
    if isinstance(error, Image.DecompressionBombError):
        n_pixels = "".join(c for c in str(error).partition(" pixels")[0] if c.isdigit())
        return Reason.TOO_MANY_PIXELS, f"{n_pixels} pixels; allowed: {limits.max_pixels}"
    if isinstance(error, MemoryError):
        return Reason.OUT_OF_MEMORY, f"{sniffed.name} of {len(raw)} bytes needs too much memory"
    is_cut = _ends_early(raw, sniffed.name)
    if isinstance(error, UnidentifiedImageError):
        if sniffed.kind is Kind.UNKNOWN:
            # The message quotes no content: it may be any private file.
            return Reason.NOT_AN_IMAGE, f"no known image format in {len(raw)} bytes"
        text = "its header is damaged"
    else:
        text = _BYTES_SHOWN.sub("...", str(error)) or type(error).__name__
        is_cut = is_cut or any(phrase in text.lower() for phrase in _CUT_PHRASES)
        if _UNREAD_KIND.match(text):
            detail = f"an unsupported kind of {sniffed.name} ({text}); save it as PNG"
            return Reason.UNSUPPORTED_FORMAT, detail
    reason = Reason.TRUNCATED if is_cut else Reason.UNREADABLE
    return reason, f"{sniffed.name} of {len(raw)} bytes: {text}"


def _ends_early(raw: bytes, name: str) -> bool:
    """Return whether the file lacks the end that its format requires."""
    if name == "JPEG":
        _, end = count_scans(raw)
        return not raw.endswith(b"\xff\xd9", 0, end)
    if name == "PNG":
        return b"IEND" not in raw
    if name == "GIF":
        return b";" not in raw[-16:]
    if name == "WEBP":
        return int.from_bytes(raw[4:8], "little") + 8 > len(raw)
    if name == "AVIF":
        return _boxes_end(raw) > len(raw)
    if name == "BMP":
        return len(raw) < 26 or int.from_bytes(raw[2:6], "little") > len(raw)
    return False


def _boxes_end(raw: bytes) -> int:
    """Return the offset at which the top-level boxes of an ISO media file end by their headers."""
    at = 0
    while at + 8 <= len(raw):
        n_box = int.from_bytes(raw[at : at + 4], "big")
        if n_box == 1:
            n_box = int.from_bytes(raw[at + 8 : at + 16], "big")
        if n_box < 8:  # 0: up to the end of the file; 2 to 7: damage
            return len(raw)
        at += n_box
    return at


class _WhileOpening:
    """Pattern of a warning filter that matches in threads that are opening an image.

    `warnings.catch_warnings` replaces the filters of the whole process and is not thread-safe; a
    single filter with a thread-local flag is.

    Attributes:
        pattern: Expression that matches no module, for code that copies filters by the text of
            their patterns, as scikit-learn does for its workers.
    """

    pattern: Final = r"(?!)"

    def __init__(self) -> None:
        self.local = threading.local()

    def match(self, _module: str) -> bool:
        return getattr(self.local, "depth", 0) > 0


_while_opening = _WhileOpening()
_FILTER: Final[Any] = ("ignore", None, Warning, _while_opening, 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop the warnings of this thread: damage is reported in a row, not on stderr."""
    filters = cast("list[Any]", warnings.filters)
    if not filters or filters[0] is not _FILTER:
        # Filters were changed since; ours must come first, or `-W error` would reject images.
        with contextlib.suppress(ValueError):
            filters.remove(_FILTER)
        filters.insert(0, _FILTER)
    local = _while_opening.local
    local.depth = getattr(local, "depth", 0) + 1
    try:
        yield
    finally:
        local.depth -= 1
