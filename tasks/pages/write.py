"""Writing a page: whole or not at all."""

from __future__ import annotations

from ...data.errors import StoreError
from ...data.store.files import Store


def write_page(store: Store, name: str, page: bytes) -> str:
    """Write a file of the store whole or not at all, and return its address.

    Raises:
        StoreError: It cannot be written.
    """
    try:
        with store.creating(name) as file:
            file.write(page)
    except OSError as error:
        raise StoreError(f"cannot write {store.path(name)}: {error}") from error
    return store.path(name)
