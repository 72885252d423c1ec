"""What a generator is to assay: something that makes one picture of one request.

Any diffusers pipeline, function, HTTP service or folder of finished pictures can stand in by
having these few members. What is drawn at random comes from the request's own seed alone.
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

# Base64 takes four bytes for three, and JSON may hold more than the picture.
_MAX_ANSWER_BYTES: Final = 2 * DEFAULT_LIMITS.max_bytes
_DATA_URI: Final = re.compile(r"^data:[^,]{0,200},", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """One picture to be made. What is None is up to the generator's preset."""

    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 0
    width_px: int | None = None
    height_px: int | None = None
    steps: int | None = None
    guidance: float | None = None
    parent_rgb: Rgb | None = None
    """The picture to start from: image-to-image, or inpainting with `mask`."""
    strength: float | None = None
    """In (0, 1]: how much of the way from noise is gone again; with `parent_rgb`."""
    mask_hw: NDArray[np.bool_] | None = None
    """True where the picture is painted anew; the size of `parent_rgb`."""
    control_rgb: Rgb | None = None
    """Edges, depth or blur to follow, as the control network was trained on."""
    control_kind: str = "canny"
    """`canny`, `depth` or `blur`: what `control_rgb` is."""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.mask_hw is not None:
            if self.parent_rgb is None:
                raise SynthError("a mask without a picture; inpainting needs both")
            if self.mask_hw.shape != self.parent_rgb.shape[:2]:
                seen, wanted = self.mask_hw.shape, self.parent_rgb.shape[:2]
                raise SynthError(
                    f"the mask is {seen[1]}x{seen[0]} px, its picture {wanted[1]}x{wanted[0]} px; "
                    "they must be alike"
                )
        if self.strength is not None and not 0 < self.strength <= 1:
            raise SynthError(f"a strength of {self.strength}; allowed: above 0, at most 1")


@runtime_checkable
class Generator(Protocol):
    """Makes pictures. `generator_id` names the exact weights, adapters included.

    Pictures of one id count as the same for the same request; where the id does not tell all
    that decides them, an attribute `contents` of plain values tells the rest.
    """

    @property
    def generator_id(self) -> str:
        """Name and revision or hash of what makes the pictures."""
        ...

    @property
    def license_flags(self) -> tuple[str, ...]:
        """What the licence says of the pictures, as closed words."""
        ...

    def check(self, request: ImageRequest) -> None:
        """Refuse what cannot be made, before anything is computed.

        Raises:
            SynthError: Says what was asked, what is allowed and what to do.
        """
        ...

    def make(self, request: ImageRequest) -> Rgb:
        """The picture of this request; the same request gives the same pixels.

        Raises:
            SynthError: It cannot be made.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallableGenerator:
    """A function from a request to a picture, under a name."""

    generator_id: str
    function: Callable[[ImageRequest], Rgb | Image.Image]
    license_flags: tuple[str, ...] = ()

    def check(self, request: ImageRequest) -> None:
        """Everything is allowed; the function says no by raising."""

    def make(self, request: ImageRequest) -> Rgb:
        """Return what the function returns, checked.

        Raises:
            GeneratorFailed: It raised, or returned no picture.
        """
        return answer_of(self.generator_id, lambda: self.function(request))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderGenerator:
    """Finished pictures of a folder, in name order: the seed picks one."""

    folder: Path
    generator_id: str
    license_flags: tuple[str, ...] = ()

    @property
    def contents(self) -> list[str]:
        """Hashes of the pictures, in the order in which seeds pick them."""
        return [file_sha256(path) for path in self._files()]

    def check(self, request: ImageRequest) -> None:
        """Refuses a folder without pictures."""
        self._files()

    def make(self, request: ImageRequest) -> Rgb:
        """Return one of the pictures, decoded.

        Raises:
            GeneratorFailed: It cannot be read or decoded.
        """
        files = self._files()
        path = files[request.seed % len(files)]
        return answer_of(str(path), lambda: decoded(path.read_bytes(), str(path)))

    def _files(self) -> list[Path]:
        suffixes = {".jpg", ".jpeg", ".png", ".webp"}
        # From Python, a path may come as text.
        folder = Path(self.folder)
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in suffixes)
        if not found:
            raise SynthError(f"{self.folder} holds no pictures (.jpg, .png, .webp)")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGenerator:
    """A service that takes JSON and answers with an encoded picture.

    The body has the request's plain fields (`prompt`, `negative_prompt`, `seed`, `width`, `height`,
    `steps`, `guidance`, `strength`, and `image` and `mask` as base64 PNG). The answer is the
    picture itself, or JSON whose `images[0]` or `image` is one in base64 or a `data:` URI.
    """

    url: str
    generator_id: str
    license_flags: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 300.0

    def check(self, request: ImageRequest) -> None:
        """Nothing is known of the service's limits."""

    def make(self, request: ImageRequest) -> Rgb:
        """Return what the service answers, decoded.

        Raises:
            GeneratorFailed: It cannot be reached, or its answer is no picture.
        """
        return answer_of(self.url, lambda: self._asked(request))

    def _asked(self, request: ImageRequest) -> Rgb:
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
                    f"{self.url} gave no picture: it answered {answer.status_code} "
                    f"{answer.reason_phrase}"
                )
            raw = self._received(answer)
        if "json" in answer.headers.get("content-type", ""):
            raw = _picture_of_json(raw, self.url)
        return decoded(raw, self.url)

    def _received(self, answer: Any) -> bytes:
        """The body, given up when it is too large or too slow."""
        body = bytearray()
        ends_s = time.monotonic() + self.timeout_s
        for part in answer.iter_bytes():
            body += part
            if len(body) > _MAX_ANSWER_BYTES:
                raise GeneratorFailed(
                    f"{self.url} gave no picture: more than {_MAX_ANSWER_BYTES} bytes"
                )
            if time.monotonic() > ends_s:
                raise GeneratorFailed(
                    f"{self.url} gave no picture: not all of it within {self.timeout_s:g} s"
                )
        return bytes(body)


def _picture_of_json(raw: bytes, source: str) -> bytes:
    """The encoded picture in a JSON answer."""
    import json

    try:
        told = json.loads(raw)
        text = told["images"][0] if "images" in told else told["image"]
        text = _DATA_URI.sub("", "".join(text.split()))
        return base64.b64decode(text, validate=True)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        what = "broken base64" if isinstance(error, binascii.Error) else "no picture"
        raise GeneratorFailed(
            f"{source} gave no picture: {what} in its JSON; allowed: images[0] or image, in base64"
        ) from error


def _base64_png(pixels: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    shown = pixels.astype(np.uint8) * 255 if pixels.dtype == np.bool_ else pixels
    Image.fromarray(shown).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
