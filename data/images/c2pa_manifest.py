"""Declarations of AI generation in C2PA manifests, read if c2pa-python is installed.

No network access: remote manifests and revocation lists are not fetched. Every claim states
whether the signature is valid, since anyone can write a manifest.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import os
from collections.abc import Iterator
from typing import Any, Final

from .byte_marks import n_marks
from .sniff import sniff

_MIME: Final = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
}
_OFFLINE: Final = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_MAX_NAME_CHARS: Final = 60


def may_hold_manifest(raw: bytes) -> bool:
    """Return whether the markers of a C2PA box occur in the bytes; nothing is parsed."""
    return n_marks(raw, b"jumb") > 0 and b"c2pa" in raw


def read_manifest_claims(raw: bytes, source_types: frozenset[str]) -> Iterator[str]:
    """Yield claims such as `c2pa: trainedAlgorithmicMedia by ChatGPT (signature invalid)`.

    Claims of the active manifest come first, then those of its ingredients
    ("c2pa ingredient: ..."). Nothing is yielded without c2pa-python, without a manifest, or for
    an unreadable manifest.

    Args:
        raw: Encoded image.
        source_types: IPTC digital source types to report.
    """
    if not may_hold_manifest(raw):
        return
    store = _read_store(raw)
    active = store.get("active_manifest")
    state = str(store.get("validation_state", "")).lower()
    signature = "" if state in {"valid", "trusted"} else " (signature invalid)"
    manifests = store.get("manifests")
    if not isinstance(manifests, dict):
        return
    for name, manifest in sorted(manifests.items(), key=lambda named: named[0] != active):
        where = "c2pa" if name == active else "c2pa ingredient"
        for source_type in dict.fromkeys(_source_types(manifest)):
            if source_type in source_types:
                yield f"{where}: {source_type}{_generator(manifest)}{signature}"


def _read_store(raw: bytes) -> dict[str, Any]:
    mime = _MIME.get(sniff(raw).name)
    if mime is None or not _is_installed():
        return {}
    import c2pa

    try:
        reader = c2pa.Reader.try_create(mime, io.BytesIO(raw), context=_context(os.getpid()))
        if reader is None:
            return {}
        with reader:
            store = json.loads(reader.json())
    except (c2pa.C2paError, ValueError, RecursionError):
        return {}
    return store if isinstance(store, dict) else {}


@functools.cache
def _is_installed() -> bool:
    return importlib.util.find_spec("c2pa") is not None


@functools.lru_cache(maxsize=1)
def _context(_pid: int) -> Any:
    """Return the context of a process; native handles do not survive a fork."""
    import c2pa

    return c2pa.Context(c2pa.Settings.from_dict(_OFFLINE))


def _source_types(value: object) -> Iterator[str]:
    """Yield the last path component of every `digitalSourceType` in a manifest, at any depth."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for key, child in node.items():
                if key.lower().endswith("digitalsourcetype") and isinstance(child, str):
                    yield child.rstrip("/").rpartition("/")[2]
                else:
                    pending.append(child)
        elif isinstance(node, list):
            pending.extend(node)


def _generator(manifest: object) -> str:
    """Return ` by NAME` with the generator named in the claim; "" if it names none."""
    infos = manifest.get("claim_generator_info") if isinstance(manifest, dict) else None
    first = infos[0] if isinstance(infos, list) and infos else None
    name = first.get("name") if isinstance(first, dict) else None
    if not isinstance(name, str):
        return ""
    line = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    return f" by {line[:_MAX_NAME_CHARS]}" if line else ""
