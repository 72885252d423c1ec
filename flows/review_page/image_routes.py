"""Images of the lake, encoded anew at three sizes, and their maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Path, Request, Response

from ...data.errors import StoreError
from ...tasks.pages.renditions import MEDIA_TYPE, SMALL, VIEW, ZOOM
from .desk import desk_of

SIZES: Final = {"small": SMALL, "view": VIEW, "zoom": ZOOM}
# The content of an id never changes; with --no-store the guard replaces this.
_KEPT: Final = {"Cache-Control": "private, max-age=86400, immutable"}

ImageId = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]

router = APIRouter()


@router.get("/image/{image_id}/map.png")
def image_map(request: Request, image_id: ImageId) -> Response:
    """Return the map of an image's score as a transparent layer."""
    raw = _of(request, image_id, desk_of(request).images.overlay)
    return Response(raw, media_type="image/png", headers=_KEPT)


@router.get("/image/{image_id}/{size}.jpg")
def image(request: Request, image_id: ImageId, size: str) -> Response:
    """Return an image as JPEG in one of the sizes `small`, `view` and `zoom`."""
    if size not in SIZES:
        raise HTTPException(404, f"there is no size {size[:40]!r}; sizes: {', '.join(SIZES)}")
    store = desk_of(request).images
    raw = _of(request, image_id, lambda known: store.rendition(known, SIZES[size]))
    return Response(raw, media_type=MEDIA_TYPE, headers=_KEPT)


def _of(request: Request, image_id: str, make: Callable[[str], bytes]) -> bytes:
    try:
        return make(image_id)
    except StoreError as error:
        # A page that is older than the removal of an image from the lake.
        if not desk_of(request).lake.has_rows_of("images", [image_id]):
            raise HTTPException(404, "the lake has no such image any more") from error
        raise
