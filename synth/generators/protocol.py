"""The generator protocol: one image per request, and nothing random but the request's seed.

A diffusers pipeline, a function, an HTTP service or a folder of finished images is a generator if
it has the members of `Generator`.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...data.errors import GeneratorFailed, SynthError
from ...data.file_hashes import file_sha256
from ...data.images.limits import DEFAULT_LIMITS
from .answers import Rgb, answer_of, as_rgb, decoded

__all__ = [
    "CallableGenerator",
    "FolderGenerator",
    "Generator",
    "HttpGenerator",
    "ImageRequest",
    "Rgb",
    "as_rgb",
]

# Base64 takes four bytes for three, and JSON may hold more than the image.
_MAX_ANSWER_BYTES: Final = 2 * DEFAULT_LIMITS.max_bytes
_DATA_URI: Final = re.compile(r"^data:[^,]{0,200},", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """A request for one image; the generator's preset decides values of None.

    Raises:
        SynthError: The mask has no parent or another size, or the strength is out of range.
    """

    prompt: str = ""
    """Description of the image."""
    negative_prompt: str = ""
    """Description of what the image must not show."""
    seed: int = 0
    """Seed of everything random, in [0, 2**63)."""
    width_px: int | None = None
    """Width in pixels; with `parent_rgb`, the parent's."""
    height_px: int | None = None
    """Height in pixels; with `parent_rgb`, the parent's."""
    steps: int | None = None
    """Number of denoising steps, at least 1."""
    guidance: float | None = None
    """Scale of classifier-free guidance."""
    parent_rgb: Rgb | None = None
    """Parent image for image-to-image, or for inpainting with `mask_hw`."""
    strength: float | None = None
    """Share of the denoising steps to run on the noised parent, in (0, 1]; with `parent_rgb`."""
    mask_hw: NDArray[np.bool_] | None = None
    """Mask of the size of `parent_rgb`, True where the image is repainted."""
    control_rgb: Rgb | None = None
    """Control image for the ControlNet: edges, depth or blur."""
    control_kind: str = "canny"
    """Kind of `control_rgb`: `canny`, `depth` or `blur`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments for the pipeline, or fields for the HTTP service."""

    def __post_init__(self) -> None:
        if self.mask_hw is not None:
            if self.parent_rgb is None:
                raise SynthError("the request has a mask without a parent; inpainting needs both")
            if self.mask_hw.shape != self.parent_rgb.shape[:2]:
                seen, wanted = self.mask_hw.shape, self.parent_rgb.shape[:2]
                raise SynthError(
                    f"the mask is {seen[1]}x{seen[0]} px and its image {wanted[1]}x{wanted[0]} px; "
                    "both must have the same size"
                )
        if self.strength is not None and not 0 < self.strength <= 1:
            raise SynthError(f"strength = {self.strength}; allowed: above 0, at most 1")


@runtime_checkable
class Generator(Protocol):
    """An image generator; `generator_id` names the exact weights, adapters included.

    Equal requests to generators with equal ids count as the same image. Where the id does not
    cover everything that decides the pixels, an attribute `contents` of plain values covers the
    rest.
    """

    @property
    def generator_id(self) -> str:
        """Name and revision or hash of the generator."""
        ...

    @property
    def license_flags(self) -> tuple[str, ...]:
        """Conditions of the licence on the images, as words of a closed list."""
        ...

    def check(self, request: ImageRequest) -> None:
        """Refuse an impossible request before anything is computed.

        Raises:
            SynthError: Names the value of the request, the allowed ones and the remedy.
        """
        ...

    def make(self, request: ImageRequest) -> Rgb:
        """Make the image of a request; the same request gives the same pixels.

        Raises:
            SynthError: The image cannot be made.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallableGenerator:
    """A function from a request to an image, with an id."""

    generator_id: str
    """Name and revision or hash of the function."""
    function: Callable[[ImageRequest], Rgb | Image.Image]
    """Function that makes the image of a request."""
    license_flags: tuple[str, ...] = ()
    """Conditions of the licence on the images."""

    def check(self, request: ImageRequest) -> None:
        """Accept every request; the function refuses by raising."""

    def make(self, request: ImageRequest) -> Rgb:
        """Call the function and return its image, checked.

        Raises:
            GeneratorFailed: The function raised, or did not return an image.
        """
        return answer_of(self.generator_id, lambda: self.function(request))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderGenerator:
    """A folder of finished images in name order, of which the seed selects one."""

    folder: Path
    """Folder of the images."""
    generator_id: str
    """Name and revision of what made the images."""
    license_flags: tuple[str, ...] = ()
    """Conditions of the licence on the images."""

    @property
    def contents(self) -> list[str]:
        """Hashes of the images, in name order."""
        return [file_sha256(path) for path in self._files()]

    def check(self, request: ImageRequest) -> None:
        """Refuse a folder without images.

        Raises:
            SynthError: The folder has none.
        """
        self._files()

    def make(self, request: ImageRequest) -> Rgb:
        """Return the image that the seed selects, decoded.

        Raises:
            SynthError: The folder has no images.
            GeneratorFailed: The image cannot be read or decoded.
        """
        files = self._files()
        path = files[request.seed % len(files)]
        return answer_of(str(path), lambda: decoded(path.read_bytes(), str(path)))

    def _files(self) -> list[Path]:
        suffixes = {".jpg", ".jpeg", ".png", ".webp"}
        # Callers in Python may pass the path as text.
        folder = Path(self.folder)
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
        if not files:
            raise SynthError(f"{self.folder} has no images (.jpg, .png, .webp)")
        return files


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGenerator:
    """An HTTP service that takes JSON and answers with an encoded image.

    The body has the plain fields of the request (`prompt`, `negative_prompt`, `seed`, `width`,
    `height`, `steps`, `guidance`, `strength`, and `image` and `mask` as base64 PNG). The answer is
    the image itself, or JSON whose `images[0]` or `image` is one in base64 or a `data:` URI.
    """

    url: str
    """URL of the service."""
    generator_id: str
    """Name and revision of the service's generator."""
    license_flags: tuple[str, ...] = ()
    """Conditions of the licence on the images."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers of each HTTP request."""
    timeout_s: float = 300.0
    """Time limit for connecting, for each read and for the whole answer, in seconds."""

    def check(self, request: ImageRequest) -> None:
        """Accept every request; the limits of the service are not known."""

    def make(self, request: ImageRequest) -> Rgb:
        """Send the request to the service and return its image.

        Raises:
            GeneratorFailed: The service cannot be reached, or its answer is not an image.
        """
        return answer_of(self.url, lambda: self._sent(request))

    def _sent(self, request: ImageRequest) -> Rgb:
        import httpx

        body = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "seed": request.seed,
            "width": request.width_px,
            "height": request.height_px,
            "steps": request.steps,
            "guidance": request.guidance,
            "strength": request.strength,
            "image": None if request.parent_rgb is None else _base64_png(request.parent_rgb),
            "mask": None if request.mask_hw is None else _base64_png(request.mask_hw),
            **request.extra,
        }
        sent = {name: value for name, value in body.items() if value is not None}
        with httpx.stream(
            "POST", self.url, json=sent, headers=dict(self.headers), timeout=self.timeout_s
        ) as answer:
            if not answer.is_success:
                raise GeneratorFailed(
                    f"{self.url} returned no image: it answered {answer.status_code} "
                    f"{answer.reason_phrase}"
                )
            raw = self._received(answer)
        if "json" in answer.headers.get("content-type", ""):
            raw = _image_of_json(raw, self.url)
        return decoded(raw, self.url)

    def _received(self, answer: Any) -> bytes:
        """Read the body of an answer, up to a limit of bytes and of time."""
        body = bytearray()
        ends_s = time.monotonic() + self.timeout_s
        for part in answer.iter_bytes():
            body += part
            if len(body) > _MAX_ANSWER_BYTES:
                raise GeneratorFailed(
                    f"{self.url} returned no image: the answer exceeds {_MAX_ANSWER_BYTES} bytes"
                )
            if time.monotonic() > ends_s:
                raise GeneratorFailed(
                    f"{self.url} returned no image: the answer took longer than {self.timeout_s:g} "
                    "s"
                )
        return bytes(body)


def _image_of_json(raw: bytes, source: str) -> bytes:
    """Return the encoded image in a JSON answer."""
    import json

    try:
        answer = json.loads(raw)
        text = answer["images"][0] if "images" in answer else answer["image"]
        text = _DATA_URI.sub("", "".join(text.split()))
        return base64.b64decode(text, validate=True)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        what = "invalid base64" if isinstance(error, binascii.Error) else "no image"
        raise GeneratorFailed(
            f"{source} returned no image: {what} in its JSON; allowed: images[0] or image, in "
            "base64"
        ) from error


def _base64_png(pixels: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    shown = pixels.astype(np.uint8) * 255 if pixels.dtype == np.bool_ else pixels
    Image.fromarray(shown).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
