"""Pictures for tests, made from a seed: small, of every kind, and some that are broken.

Each maker returns encoded bytes. The same arguments give the same bytes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

Size = tuple[int, int]
SIZE: Size = (96, 64)


def noise(*, seed: int = 0, size: Size = SIZE, mode: str = "RGB") -> Image.Image:
    """Return independent random samples, the hardest image to compress."""
    n_bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0]) if n_bands == 1 else (size[1], size[0], n_bands)
    samples = np.random.default_rng(seed).integers(0, 256, size=shape, dtype=np.uint8)
    return Image.frombytes(mode, size, samples.tobytes())


def gradient(*, size: Size = SIZE) -> Image.Image:
    """Return red growing to the right and green downwards, so that every turn is visible."""
    across = np.linspace(0, 255, size[0]).astype(np.uint8)
    down = np.linspace(0, 255, size[1]).astype(np.uint8)
    rgb = np.full((size[1], size[0], 3), 128, dtype=np.uint8)
    rgb[..., 0] = across[None, :]
    rgb[..., 1] = down[:, None]
    return Image.fromarray(rgb)


def photo(*, seed: int = 0, size: Size = SIZE) -> Image.Image:
    """Return blurred blobs with grain, which compress and hash like a photograph."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, size=(6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), dtype=np.int16)
    grain = rng.integers(-6, 7, size=smooth.shape, dtype=np.int16)
    return Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return an image encoded by Pillow."""
    out = io.BytesIO()
    image.save(out, file_format, **options)
    return out.getvalue()


def jpeg(*, seed: int = 0, size: Size = SIZE, quality: int = 90, **options: Any) -> bytes:
    """Return a photo-like JPEG."""
    return encoded(photo(seed=seed, size=size), "JPEG", quality=quality, **options)


def png(*, seed: int = 0, size: Size = SIZE, **options: Any) -> bytes:
    """Return a photo-like PNG."""
    return encoded(photo(seed=seed, size=size), "PNG", **options)


def webp(*, seed: int = 0, size: Size = SIZE, **options: Any) -> bytes:
    """Return a photo-like WebP."""
    return encoded(photo(seed=seed, size=size), "WEBP", **options)


def avif(*, seed: int = 0, size: Size = SIZE, **options: Any) -> bytes:
    """Return a photo-like AVIF."""
    return encoded(photo(seed=seed, size=size), "AVIF", speed=10, **options)


def bmp(*, seed: int = 0, size: Size = SIZE) -> bytes:
    """Return a photo-like BMP."""
    return encoded(photo(seed=seed, size=size), "BMP")


def gif(*, seed: int = 0, size: Size = SIZE, n_frames: int = 1) -> bytes:
    """Return a GIF with distinct frames."""
    frames = [photo(seed=seed + n, size=size).quantize(32) for n in range(n_frames)]
    return encoded(frames[0], "GIF", save_all=n_frames > 1, append_images=frames[1:])


def with_exif(
    *,
    seed: int = 0,
    orientation: int | None = None,
    tags: Mapping[int, Any] | None = None,
    exif_ifd: Mapping[int, Any] | None = None,
    gps_ifd: Mapping[int, Any] | None = None,
    file_format: str = "JPEG",
    image: Image.Image | None = None,
) -> bytes:
    """Return an image with EXIF tags by number in the main, Exif and GPS directories."""
    exif = Image.Exif()
    for number, value in (tags or {}).items():
        exif[number] = value
    if orientation is not None:
        exif[0x0112] = orientation
    for pointer, directory in ((0x8769, exif_ifd), (0x8825, gps_ifd)):
        if directory:
            exif.get_ifd(pointer).update(directory)
    return encoded(image or photo(seed=seed), file_format, exif=exif)


def png_with_text(texts: Mapping[str, str], *, compressed: bool = False, seed: int = 0) -> bytes:
    """Return a PNG with text chunks."""
    info = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        info.add_text(key, value, zip=compressed)
    return png(seed=seed, pnginfo=info)


def xmp_packet(body: str) -> bytes:
    """Return an XMP packet around properties written as elements."""
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/">{body}</rdf:Description></rdf:RDF></x:xmpmeta>'
        '<?xpacket end="w"?>'
    ).encode()


def cmyk_jpeg(*, seed: int = 0) -> bytes:
    """Return a CMYK JPEG."""
    return encoded(photo(seed=seed).convert("CMYK"), "JPEG", quality=90)


def palette_png(*, seed: int = 0, transparent: bool = False) -> bytes:
    """Return a PNG with 16 colours, one of them transparent on request."""
    image = photo(seed=seed).quantize(16)
    return encoded(image, "PNG", **({"transparency": 3} if transparent else {}))


def rgba_png(*, alpha: int = 0, colour: tuple[int, int, int] = (200, 10, 30)) -> bytes:
    """Return a PNG of one colour and one opacity."""
    return encoded(Image.new("RGBA", SIZE, (*colour, alpha)), "PNG")


def grey16_png(values: Sequence[int], *, size: Size = SIZE) -> bytes:
    """Return a 16-bit grey PNG with vertical stripes of these values."""
    row = np.array(values, dtype=np.uint16)[np.arange(size[0]) * len(values) // size[0]]
    return encoded(Image.fromarray(np.tile(row, (size[1], 1))), "PNG")


def tagged_jpeg(*, seed: int = 0) -> bytes:
    """Return a JPEG with an sRGB colour profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return jpeg(seed=seed, icc_profile=profile.tobytes())


def truncated(raw: bytes, *, share: float = 0.5) -> bytes:
    """Return the first part of a file."""
    return raw[: int(len(raw) * share)]


def png_bomb(*, width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of a few bytes that declares an enormous size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND")


def chunk(name: bytes, body: bytes = b"") -> bytes:
    """Return a chunk of a PNG."""
    checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def scans_bomb(*, n_scans: int, size: Size = (2048, 2048)) -> bytes:
    """Return a progressive JPEG with its last scan repeated: small, and slow to decode."""
    raw = encoded(Image.new("L", size), "JPEG", progressive=True)
    last = raw.rindex(b"\xff\xda")
    scan = raw[last:-2]
    return raw[:last] + scan * n_scans + b"\xff\xd9"


FORMATS = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "AVIF": avif,
    "GIF": gif,
    "BMP": bmp,
}
