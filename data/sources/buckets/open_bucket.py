"""Buckets and the state of their objects, by address."""

from __future__ import annotations

import functools
import os
import time
from typing import Final

from ...object_addresses import HUB, ObjectName, parse
from ...store.cloud_options import storage_options
from ..handles import Handles
from .bucket import Bucket, ObjectInfo

_FRESH_S: Final = 60

_buckets: Final[Handles[Bucket]] = Handles(n_kept=16)


def bucket_of(name: ObjectName) -> Bucket:
    """Return the bucket of an address, opened once per process and set of credentials.

    Raises:
        OSError: The bucket cannot be configured.
        StoreError: Credentials or endpoint are incomplete.
    """
    if name.scheme == HUB:
        from .hub import HubBucket

        return _buckets.get(name.store, lambda: HubBucket(name.bucket))
    from .cloud_bucket import CloudBucket

    options = storage_options(name.scheme, os.environ)
    key = (name.store, tuple(sorted(options.items())))
    return _buckets.get(key, lambda: CloudBucket(name.scheme, name.bucket, options))


def info_of(address: str) -> ObjectInfo:
    """Return size and stamp of an object, asked at most once per minute."""
    return _info(address, int(time.monotonic() / _FRESH_S))


@functools.lru_cache(maxsize=64)
def _info(address: str, _minute: int) -> ObjectInfo:
    name = parse(address)
    return bucket_of(name).head(name.key)


def forget_infos() -> None:
    """Ask anew for the next size and stamp of every object."""
    _info.cache_clear()
