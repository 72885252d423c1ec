"""Provenance in a file's metadata: the camera, and declarations of AI generation.

Metadata is an unverified claim. A declaration of AI generation is evidence for it; its absence
proves nothing, and nothing read here ever clears an image. Locations, persons and free text
(prompts, comments, owners) are searched and never stored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from PIL import ExifTags, Image

from .c2pa_manifest import read_manifest_claims
from .limits import DAMAGE
from .trimming import MAX_TEXT_BYTES

_MAX_NAME_CHARS: Final = 100
_MAX_CLAIMS: Final = 4
# Limits of the search, in characters per text and in texts.
_MAX_TEXT_CHARS: Final = MAX_TEXT_BYTES
_MAX_TEXTS: Final = 1_000

# IPTC digital source types of media generated in whole or in part by AI or algorithms.
AI_SOURCE_TYPES: Final = frozenset(
    {
        "trainedAlgorithmicMedia",
        "compositeWithTrainedAlgorithmicMedia",
        "trainedAlgorithmicData",
        "algorithmicMedia",
        "compositeSynthetic",
    }
)
_SOURCE_TYPE: Final = re.compile(
    rb"""DigitalSourceType["'>=\s]{1,20}"""
    rb"""(?:rdf:resource\s{0,4}=\s{0,4}["'])?\s{0,40}"""
    rb"""(?:https?://[^"'<>\s]{1,100}/)?([A-Za-z]{4,60})"""
)
_CREATOR_TOOL: Final = re.compile(rb"""CreatorTool["'>=\s]{1,20}([^"'<>]{1,100})""")
# Names of image generators as they occur in metadata.
_GENERATORS: Final = re.compile(
    r"novelai|comfyui|invokeai|automatic1111|stable[ -]?diffusion|sd-webui|fooocus|midjourney"
    r"|dall[-·• ]?e|adobe firefly|draw ?things|swarmui|easy diffusion|leonardo\.ai|ideogram"
    r"|made with google ai|imagen \d|flux\.1|gpt-4o|chatgpt|black forest labs",
    re.IGNORECASE,
)
# Free text of AUTOMATIC1111 and programs derived from it.
_A1111_STEPS: Final = re.compile(r"\bSteps: \d{1,9}, ")
_A1111_SETTING: Final = re.compile(r"(?:Sampler|CFG scale|Seed|Model hash): ")
_A1111_SPAN_CHARS: Final = 420
_A1111_MAX_TRIES: Final = 100


def read_capture(image: Image.Image) -> dict[str, str | None] | None:
    """Return make, model and software from EXIF (or PNG's "Software"); None if all are missing.

    A value is one line of at most 100 characters.
    """
    exif = _exif(image)
    software = exif.get(ExifTags.Base.Software) or image.info.get("Software")
    capture = {
        "make": _name(exif.get(ExifTags.Base.Make)),
        "model": _name(exif.get(ExifTags.Base.Model)),
        "software": _name(software),
    }
    return capture if any(capture.values()) else None


def read_ai_declared(raw: bytes, image: Image.Image) -> str | None:
    """Return the file's declarations of AI generation, at most four, joined by "; ".

    A declaration reads `where: what`, for example `iptc: trainedAlgorithmicMedia`,
    `png text: ComfyUI`, `exif software: NovelAI` or
    `c2pa: trainedAlgorithmicMedia by ChatGPT (signature invalid)`.

    Args:
        raw: Encoded image.
        image: Opened image.
    """
    claims = list(read_manifest_claims(raw, AI_SOURCE_TYPES))
    claims += _from_xmp(image)
    claims += _from_text(image)
    claims += _from_exif(_exif(image))
    return "; ".join(dict.fromkeys(claims[:_MAX_CLAIMS])) or None


def _exif(image: Image.Image) -> Image.Exif:
    try:
        return image.getexif()
    except DAMAGE:
        return Image.Exif()


def _name(value: object) -> str | None:
    """Return a value as one clean line; None if it is empty or evidently not a name."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    line = " ".join("".join(c if c.isprintable() else " " for c in value[:400]).split())
    # ComfyUI stores whole workflows in the fields for make and model.
    if line.startswith(("workflow:", "prompt:", "{", "[")):
        return None
    return line[:_MAX_NAME_CHARS] or None


def _from_xmp(image: Image.Image) -> Iterator[str]:
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    packet = xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
    packet = packet[:_MAX_TEXT_CHARS]
    for match in _SOURCE_TYPE.finditer(packet):
        source_type = match[1].decode("ascii")
        if source_type in AI_SOURCE_TYPES:
            yield f"iptc: {source_type}"
    for match in _CREATOR_TOOL.finditer(packet):
        yield from _named("xmp creator tool", match[1].decode("utf-8", "replace"))


def _from_text(image: Image.Image) -> Iterator[str]:
    """Yield claims from PNG text chunks and from the comments of JPEG and GIF."""
    texts = (
        (key, value)
        for key, value in image.info.items()
        if isinstance(key, str) and isinstance(value, str | bytes) and key not in _NOT_TEXT
    )
    room = 2 * _MAX_TEXT_CHARS
    for key, value in islice(texts, _MAX_TEXTS):
        part = value[: min(room, _MAX_TEXT_CHARS)]
        room -= len(part)
        text = part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part)
        maker = _maker_of_text(key, text)
        if maker is not None:
            yield f"{'comment' if key == 'comment' else 'png text'}: {maker}"


_NOT_TEXT: Final = frozenset({"exif", "icc_profile", "xmp", "XML:com.adobe.xmp", "transparency"})
_TEXT_KEYS: Final = {
    "invokeai_metadata": "InvokeAI",
    "invokeai_graph": "InvokeAI",
    "sd-metadata": "InvokeAI",
    "Dream": "InvokeAI",
    "fooocus_scheme": "Fooocus",
    "sui_image_params": "SwarmUI",
    "generation_data": "tensor.art or ComfyUI",
}


def _maker_of_text(key: str, value: str) -> str | None:
    if key in _TEXT_KEYS:
        return _TEXT_KEYS[key]
    if key in {"prompt", "workflow"} and _is_node_graph(value):
        return "ComfyUI"
    if _is_a1111(value):
        return "AUTOMATIC1111"
    if key == "parameters" and "sui_image_params" in value:
        return "SwarmUI"
    if key in {"Software", "Source", "Title", "Comment", "comment", "Description", "Generator"}:
        match = _GENERATORS.search(value[:2000])
        return match[0] if match else None
    return None


def _is_a1111(text: str) -> bool:
    for steps in islice(_A1111_STEPS.finditer(text), _A1111_MAX_TRIES):
        if _A1111_SETTING.search(text, steps.end(), steps.end() + _A1111_SPAN_CHARS):
            return True
    return False


def _is_node_graph(value: str) -> bool:
    """Return whether a text is a ComfyUI node graph in JSON."""
    try:
        graph: Any = json.loads(value)
    except (ValueError, RecursionError):
        return False
    if not isinstance(graph, dict):
        return False
    nodes: Iterable[Any] = graph.get("nodes") or graph.values()
    return any(isinstance(node, dict) and {"class_type", "type"} & node.keys() for node in nodes)


def _from_exif(exif: Image.Exif) -> Iterator[str]:
    yield from _named("exif software", exif.get(ExifTags.Base.Software))
    for tag in (ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.ImageDescription):
        text = _text(exif.get(tag))
        label, _, rest = text.partition(":")
        if label.lower() in {"workflow", "prompt"} and _is_node_graph(rest):
            yield "exif: ComfyUI"
    try:
        comment = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    except DAMAGE:
        return
    text = _text(comment)
    if _is_a1111(text):
        yield "exif comment: AUTOMATIC1111"
    elif "sui_image_params" in text:
        yield "exif comment: SwarmUI"
    else:
        yield from _named("exif comment", text[:2000])


def _named(where: str, value: object) -> Iterator[str]:
    match = _GENERATORS.search(_text(value)[:2000])
    if match:
        yield f"{where}: {match[0]}"


def _text(value: object) -> str:
    """Return a metadata value as text; an EXIF comment starts with 8 bytes for its encoding."""
    if isinstance(value, str):
        return value[:_MAX_TEXT_CHARS]
    if not isinstance(value, bytes):
        return ""
    value = value[:_MAX_TEXT_CHARS]
    code, body = value[:8], value[8:]
    if code.startswith(b"UNICODE"):
        # The byte order differs between writers; the position of the zero bytes shows it.
        order = "utf-16-be" if body[:1] == b"\0" else "utf-16-le"
        return body.decode(order, "replace")
    if code.startswith((b"ASCII", b"JIS", b"\0\0\0\0\0\0\0\0")):
        return body.decode("utf-8", "replace")
    return value.decode("utf-8", "replace")
