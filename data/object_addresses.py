"""Addresses of objects, `s3://bucket/key` and their like.

A key is written as it is, without percent-encoding, as by the tools of the stores. The URI of an
item is percent-encoded, as all URIs in the tables.
"""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from .errors import InputError
from .source_paths import scheme_of

HUB: Final = "hf"
_ALIASES: Final = {"s3a": "s3", "gcs": "gs"}
SCHEMES: Final = ("s3", "gs", "az", HUB)
_ALL: Final = frozenset({*SCHEMES, *_ALIASES})


class ObjectName(NamedTuple):
    """Parts of an address.

    Attributes:
        scheme: One of `SCHEMES`.
        bucket: Name of the bucket or container; "datasets/org/name@revision" of the Hub.
        key: Key in the bucket, without a leading slash; "" for the bucket itself.
    """

    scheme: str
    bucket: str
    key: str

    @property
    def store(self) -> str:
        """Address of the bucket."""
        return f"{self.scheme}://{self.bucket}"

    def with_key(self, key: str) -> str:
        """Return the address of another key in the bucket."""
        return f"{self.store}/{key}" if key else self.store


def is_object(path: str) -> bool:
    """Return whether a text is an address in an object store and not a path."""
    return "://" in path[:8] and scheme_of(path) in _ALL


def parse(address: str) -> ObjectName:
    """Return the parts of an address.

    Raises:
        InputError: The address has no bucket, or no data set.
    """
    scheme, _, rest = address.partition("://")
    scheme = _ALIASES.get(scheme.lower(), scheme.lower())
    if scheme != HUB:
        bucket, _, key = rest.partition("/")
        if not bucket:
            raise InputError(f"{address}: no bucket; write {scheme}://bucket/prefix")
        return ObjectName(scheme, bucket, key)
    parts = rest.split("/", 3)
    if len(parts) < 3 or parts[0] != "datasets" or not all(parts[:3]):
        raise InputError(f"{address}: no data set; write hf://datasets/org/name@revision/path")
    return ObjectName(scheme, "/".join(parts[:3]), parts[3] if len(parts) > 3 else "")


def repository_of(bucket: str) -> tuple[str, str | None]:
    """Return repository and revision of a bucket of the Hub; None for the default revision."""
    name, _, revision = bucket.removeprefix("datasets/").partition("@")
    return name, unquote(revision) or None


def object_uri(address: str) -> str:
    """Return the percent-encoded URI of an address."""
    name = parse(address)
    safe = "/@%" if name.scheme == HUB else "/"
    bucket = quote(name.bucket, safe=safe)
    key = quote(name.key.encode("utf-8", "surrogateescape"), safe="/")
    return f"{name.scheme}://{bucket}/{key}"


def address_of_uri(uri: str) -> str:
    """Return the address of a percent-encoded URI, the inverse of `object_uri`."""
    name = parse(uri)
    return name.with_key(unquote(name.key))


def folder_of(path: str) -> str:
    """Return the folder that a file or object lies in."""
    if not is_object(path):
        return str(Path(path).parent)
    name = parse(path)
    return name.with_key(posixpath.dirname(name.key))


def is_within(address: str, root: str) -> bool:
    """Return whether an address is `root`, or lies below it as a folder."""
    here, top = parse(address), parse(root)
    if here[:2] != top[:2]:
        return False
    folder = top.key.strip("/")
    return not folder or here.key == folder or here.key.startswith(f"{folder}/")
