"""An object as a file with random reads."""

from __future__ import annotations

import functools

from ...object_addresses import parse
from ...store.object_files import RangeFile
from .open_bucket import bucket_of, info_of


def object_file(address: str) -> RangeFile:
    """Open an object for random reads, one request per read.

    Raises:
        OSError: The object does not exist or cannot be read.
    """
    name = parse(address)
    read_range = functools.partial(bucket_of(name).read_range, name.key)
    return RangeFile(read_range, info_of(address).n_bytes)
