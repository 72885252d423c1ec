"""The place that a dataset is published to: free, or one whose dataset may be replaced."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...data.errors import ConfigError
from ...data.store.files import cannot
from ...data.store.places.place import LOCK_NAME, Place, Publication


@contextlib.contextmanager
def publishing(out: Place, *, overwrite: bool) -> Iterator[Publication]:
    """Hold a place for one publication, which may replace what is there.

    Args:
        out: Place to publish to.
        overwrite: Whether a dataset published by assay may be replaced.

    Raises:
        ConfigError: The place is not free, or another process is publishing there.
        StoreError: The object store cannot be read.
    """
    with out.publishing() as publication:
        require_replaceable(out, overwrite=overwrite, recovered=publication.recovered)
        yield publication


def require_replaceable(out: Place, *, overwrite: bool, recovered: str | None = None) -> None:
    """Check that a dataset may be written to a place.

    Args:
        out: Place of the dataset.
        overwrite: Whether to replace a dataset published by assay.
        recovered: Description of the recovery from an interrupted publication; None for none.

    Raises:
        ConfigError: The place is a file, or not empty and may not be replaced.
        StoreError: The object store cannot be read.
    """
    try:
        if not out.is_taken():
            return
        is_published = out.is_published()
    except OSError as error:
        raise cannot("read", out, error) from error
    if not overwrite:
        after = f" ({recovered})" if recovered else ""
        raise ConfigError(
            f"{out} is not empty{after}; name another {out.kind}, or replace it with --overwrite"
        )
    if not is_published:
        raise ConfigError(
            f"{out} is not a dataset published by assay (it has no {LOCK_NAME}) and will not be "
            f"replaced; name another {out.kind}"
        )
