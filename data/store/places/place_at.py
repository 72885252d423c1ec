"""The place of a dataset at a path or an address."""

from __future__ import annotations

from pathlib import Path

from ..cloud_options import CLOUDS
from .place import Place
from .whole_folder import folder_at
from .whole_prefix import prefix_at


def place_at(address: Path | str) -> Place:
    """Return the folder or the prefix at an address.

    Args:
        address: Folder, or address such as `s3://bucket/prefix`.

    Raises:
        ConfigError: The address cannot be one of a dataset.
        StoreError: The object store cannot be used.
    """
    text = str(address)
    if isinstance(address, str) and "://" in text and text.partition("://")[0] in CLOUDS:
        return prefix_at(text)
    return folder_at(address)
