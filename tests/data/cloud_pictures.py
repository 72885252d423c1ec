"""Pictures in an object store of the tests, and the items of a source there."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from assay.data.sources.find import SourceOptions, find_items
from assay.data.sources.items import Item


def png(shade: int) -> bytes:
    """Return a PNG of 16 x 16 px in one shade of red."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def listed(source: str, **options: Any) -> list[Item]:
    """Return the items of a source."""
    return list(find_items([source], SourceOptions(**options)))
