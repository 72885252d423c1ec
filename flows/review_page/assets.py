"""Scripts and styles of the page, served from the package."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from fastapi import APIRouter, HTTPException, Response

from ...tasks import pages, report

_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGES: Final = Path(str(pages.__file__)).parent
_FOLDERS: Final = (_PAGES, Path(__file__).parent / "static")
# Modules of the report; their imports of one another are relative.
_MODULES: Final = {
    "pages/script": _PAGES / "script",
    "report/script": Path(str(report.__file__)).parent / "script",
}

# All files, read once: a name in a request is looked up here, never in a folder.
_ASSETS: Final = {
    path.name: path.read_bytes()
    for folder in _FOLDERS
    for path in sorted(folder.iterdir())
    if path.suffix in _TYPES
} | {
    f"{room}/{path.name}": path.read_bytes()
    for room, folder in _MODULES.items()
    for path in sorted(folder.glob("*.js"))
}
STATIC_DIGEST: Final = hashlib.sha256(
    b"".join(name.encode() + raw for name, raw in _ASSETS.items())
).hexdigest()[:16]

router = APIRouter()


@router.get("/static/{digest}/{name:path}")
def asset(digest: str, name: str) -> Response:
    """Return a script or a style sheet; the digest in the path lets browsers keep it."""
    raw = _ASSETS.get(name)
    if raw is None:
        raise HTTPException(404, f"there is no file {name[:80]!r}")
    is_current = digest == STATIC_DIGEST
    kept = "public, max-age=31536000, immutable" if is_current else "no-cache"
    return Response(raw, media_type=_TYPES[Path(name).suffix], headers={"Cache-Control": kept})
