"""The demo: generated test images, and a plan for the embedded generator.

It runs offline on any machine, and shows every outcome.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..request import Request

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

N_DRAWN: Final = 24
N_FILES: Final = N_DRAWN + 14
"""Number of all files: drawn images, photos with their sidecars, and files that are rejected."""
# The detector sends images with a short edge below 440 px to review; these are larger.
WIDTH_PX, HEIGHT_PX = 640, 480
PLAN: Final[dict[str, Any]] = {
    "parents": {"choose": "real", "n": 4},
    "make": [
        {"method": "aligned", "autoencoder": "mini-sd3"},
        {"method": "launder", "condition": ["jpeg-70", "half"]},
        {
            "method": "image-to-image",
            "generator": "mini-sd3",
            "prompt": "a bright blue smooth photo",
            "strength": [0.3, 0.6],
            "steps": 10,
        },
        {
            "method": "text",
            "generator": "mini-sd3",
            "prompt": ["a dark green detailed photo", "a bright orange smooth photo"],
            "times": 2,
        },
        {"method": "attack", "of": "aligned", "epsilon": 2, "steps": 5},
        {
            "name": "attack-saved",
            "method": "launder",
            "of": "attack",
            "condition": ["jpeg-70", "half"],
        },
    ],
}
"""Plan with a few images of each method that needs no download."""


def demo_request(folder: Path) -> Request:
    """Write the demo's images below a folder and return the request to moderate them.

    The two photographs are installed with scikit-learn and labelled real. The drawn images are
    neither photos nor AI-generated, so their scores show the pipeline instead of the detector.
    """
    images = folder / "pictures"
    _draw(images)
    return Request(
        sources=(str(images),),
        lake=str(folder / "lake"),
        detector="mini",
    )


def _draw(folder: Path) -> None:
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str, raw: bytes) -> None:
        path = folder / name
        # Left untouched if unchanged, so that the second run finds nothing new.
        if not path.exists() or path.read_bytes() != raw:
            path.write_bytes(raw)

    for name, rgb_u8_hwc in zip(("china", "flower"), load_sample_images().images, strict=True):
        photo = Image.fromarray(rgb_u8_hwc)
        for stem, shown in (("", photo), ("-enlarged", photo.resize((960, 640)))):
            keep(f"photo-{name}{stem}.jpg", _encoded(shown, "JPEG"))
            keep(f"photo-{name}{stem}.json", b'{"label": "real"}')
    kinds: tuple[Callable[..., Image.Image], ...] = (_sky, _chart, _texture)
    formats = ("JPEG", "PNG", "WEBP")
    for index in range(N_DRAWN):
        rng = np.random.default_rng(index)
        kind, form = kinds[index % 3], formats[index // 3 % 3]
        keep(
            f"drawn-{index:02d}-{kind.__name__.strip('_')}.{form.lower()}",
            _encoded(kind(rng), form),
        )
    first = _encoded(_sky(np.random.default_rng(0)), "JPEG")
    keep("copy-of-the-first.jpg", first)
    keep("truncated.jpg", first[: len(first) // 2])
    keep("notes.txt", b"not a picture\n")
    keep("empty.png", b"")
    keep("tiny.png", _encoded(_sky(np.random.default_rng(99)).resize((96, 72)), "PNG"))
    keep("bomb.png", _bomb())


def _sky(rng: np.random.Generator) -> Image.Image:
    """Draw a vertical gradient with a disc and sensor noise."""
    import numpy as np
    from PIL import Image

    top, bottom = rng.integers(0, 256, (2, 3))
    y = np.linspace(0.0, 1.0, HEIGHT_PX)[:, None, None]
    rgb = np.broadcast_to(top * (1 - y) + bottom * y, (HEIGHT_PX, WIDTH_PX, 3)).copy()
    rows, columns = np.ogrid[:HEIGHT_PX, :WIDTH_PX]
    centre_y, centre_x = rng.integers(100, 380), rng.integers(100, 540)
    rgb[(rows - centre_y) ** 2 + (columns - centre_x) ** 2 < 70**2] = rng.integers(0, 256, 3)
    rgb += rng.normal(0.0, 6.0, rgb.shape)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def _chart(rng: np.random.Generator) -> Image.Image:
    """Draw a bar chart on white."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), "white")
    pen = ImageDraw.Draw(image)
    for bar in range(8):
        left_px = 40 + bar * 72
        colour = tuple(int(value) for value in rng.integers(0, 256, 3))
        pen.rectangle((left_px, int(rng.integers(60, 400)), left_px + 48, 440), fill=colour)
    pen.line((30, 440, 620, 440), fill="black", width=3)
    return image


def _texture(rng: np.random.Generator) -> Image.Image:
    """Draw smooth random spots of several sizes."""
    import numpy as np
    from PIL import Image

    rgb = np.zeros((HEIGHT_PX, WIDTH_PX, 3))
    for n_cells in (4, 12, 40):
        coarse = Image.fromarray(rng.integers(0, 256, (n_cells, n_cells, 3), dtype=np.uint8))
        rgb += np.asarray(coarse.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC)) / 3
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def _encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **({} if form == "PNG" else {"quality": 90}))
    return buffer.getvalue()


def _bomb() -> bytes:
    """Return a PNG of a few bytes that claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
