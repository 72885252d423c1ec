"""Marks in files, which declare that an image is AI-generated.

A mark is an XMP packet with IPTC's digital source type, the generator and a reference to the row.
It is inserted into the encoded file without changing pixels; with a certificate, a signed C2PA
manifest is added. Marks are declarations: they can be removed, and their absence proves nothing.

Sources: IPTC Photo Metadata 2025.1 (DigitalSourceType, AISystemUsed); Adobe XMP specification
part 3 (where packets lie in JPEG, PNG and WebP).
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

from PIL import Image

from ..data.errors import ConfigError, SynthError

SOURCE_TYPE_URI: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
CERTIFICATE_VARIABLE: Final = "ASSAY_C2PA_CERT"
KEY_VARIABLE: Final = "ASSAY_C2PA_KEY"
_MEDIA_TYPES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_JPEG_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_PNG_SIGNATURE_BYTES: Final = 8


class SourceType(StrEnum):
    """IPTC's digital source types for images made or edited by a trained model."""

    MADE = "trainedAlgorithmicMedia"
    EDITED = "compositeWithTrainedAlgorithmicMedia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The declaration in a file."""

    source_type: SourceType | None
    """Digital source type; None: no model made any part, only the tool is named."""
    generator: str
    """Id of the generator, or name of the method."""
    origin: str = ""
    """Reference to the row with the lineage."""

    def packet(self) -> bytes:
        """Return the XMP packet, UTF-8."""
        fields = {"xmp:CreatorTool": f"assay: {self.generator}"}
        if self.source_type is not None:
            fields["Iptc4xmpExt:DigitalSourceType"] = SOURCE_TYPE_URI + self.source_type.value
            fields["Iptc4xmpExt:AISystemUsed"] = self.generator
        if self.origin:
            fields["assay:Origin"] = self.origin
        attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in fields.items())
        return (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
            'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
            'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:assay="urn:assay:marks:1" '
            f"{attributes}/></rdf:RDF></x:xmpmeta>"
        ).encode()


def marked(raw: bytes, mark: Mark) -> bytes:
    """Insert a mark into the metadata of a file, without changing its pixels.

    If `ASSAY_C2PA_CERT` and `ASSAY_C2PA_KEY` name a PEM certificate chain and its key, the output
    of models is also signed with C2PA.

    Args:
        raw: Encoded JPEG, PNG or WebP.
        mark: Declaration to insert.

    Raises:
        SynthError: The file is not a JPEG, PNG or WebP, or the mark is too long for JPEG.
        ConfigError: The certificate or its key cannot be used.
    """
    kind = _kind(raw)
    out = {"JPEG": _into_jpeg, "PNG": _into_png, "WEBP": _into_webp}[kind](raw, mark.packet())
    pair = _certificate()
    if pair is None or mark.source_type is None:
        return out
    return _signed(out, kind, mark.generator, mark.source_type, *pair)


def _kind(raw: bytes) -> str:
    if raw[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if raw[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if raw[:4] == b"RIFF" and raw[8:12] == b"WEBP":
        return "WEBP"
    raise SynthError(
        f"a file that starts with {raw[:8]!r} cannot be marked; allowed: JPEG, PNG and WebP"
    )


def _into_jpeg(raw: bytes, packet: bytes) -> bytes:
    """Insert an APP1 segment after the JFIF and EXIF headers, where readers look for it."""
    body = _JPEG_XMP + packet
    if len(body) > 65_533:
        raise SynthError(
            f"the mark has {len(body)} bytes; allowed in a JPEG segment: 65533. Shorten the "
            "generator's id"
        )
    at = 2
    while raw[at : at + 2] in {b"\xff\xe0", b"\xff\xe1"}:
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    return raw[:at] + segment + raw[at:]


def _into_png(raw: bytes, packet: bytes) -> bytes:
    """Insert an iTXt chunk right after the header chunk."""
    head_bytes = int.from_bytes(raw[8:12], "big")
    at = _PNG_SIGNATURE_BYTES + 12 + head_bytes
    # Keyword, uncompressed, without language and translated keyword.
    body = b"iTXt" + b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return raw[:at] + chunk + raw[at:]


def _into_webp(raw: bytes, packet: bytes) -> bytes:
    """Append an XMP chunk and set its flag in the extended header, which is added if missing."""
    chunks = list(_riff_chunks(raw))
    if chunks and chunks[0][0] == b"VP8X":
        head = bytearray(chunks.pop(0)[1])
        head[0] |= 0x04
    else:
        with Image.open(BytesIO(raw)) as image:
            width, height = image.size
            has_alpha = image.mode == "RGBA"
        flags = 0x04 | (0x10 if has_alpha else 0)
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        head = bytearray(bytes([flags, 0, 0, 0]) + sides)
    kept = [(name, body) for name, body in chunks if name != b"XMP "]
    parts = [(b"VP8X", bytes(head)), *kept, (b"XMP ", packet)]
    out = b"WEBP" + b"".join(
        name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for name, body in parts
    )
    return b"RIFF" + struct.pack("<I", len(out)) + out


def _riff_chunks(raw: bytes) -> list[tuple[bytes, bytes]]:
    at, chunks = 12, []
    while at + 8 <= len(raw):
        n_bytes = int.from_bytes(raw[at + 4 : at + 8], "little")
        chunks.append((raw[at : at + 4], raw[at + 8 : at + 8 + n_bytes]))
        at += 8 + n_bytes + n_bytes % 2
    return chunks


def _certificate() -> tuple[bytes, bytes] | None:
    paths = [os.environ.get(name) for name in (CERTIFICATE_VARIABLE, KEY_VARIABLE)]
    if not any(paths):
        return None
    if not all(paths):
        raise ConfigError(
            f"only one of {CERTIFICATE_VARIABLE} and {KEY_VARIABLE} is set; signing needs a PEM "
            "chain and its key: set both, or neither"
        )
    try:
        chain, key = (Path(str(path)).read_bytes() for path in paths)
    except OSError as error:
        raise ConfigError(f"the C2PA certificate or key cannot be read: {error}") from error
    return chain, key


def _signed(
    raw: bytes, kind: str, generator: str, source_type: SourceType, chain: bytes, key: bytes
) -> bytes:
    """Add a manifest with the digital source type, signed with ES256."""
    try:
        import c2pa
    except ImportError as error:
        raise ConfigError(
            f"{CERTIFICATE_VARIABLE} is set, but signing needs c2pa: pip install 'assay[c2pa]'"
        ) from error
    manifest = {
        "claim_generator_info": [{"name": "assay"}],
        "title": generator,
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": SOURCE_TYPE_URI + source_type.value,
                            "softwareAgent": {"name": generator},
                        }
                    ]
                },
            }
        ],
    }
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
    target = BytesIO()
    try:
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign(signer, _MEDIA_TYPES[kind], BytesIO(raw), target)
    except c2pa.C2paError as error:
        raise ConfigError(
            f"signing failed with the certificate of {CERTIFICATE_VARIABLE} (it must be an EC P-256"
            f" chain that allows signing): {error}"
        ) from error
    return target.getvalue()
