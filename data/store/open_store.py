"""Opening of the store at a lake's address."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from ..errors import StoreError, shorten
from ..lake_names import address_of_name
from ..text.redaction import redact_url
from ..user_paths import from_home
from .cloud_options import CLOUDS
from .files import Store, cannot
from .local_files import LocalStore
from .object_files import ObjectStore

_ALLOWED: Final = "a folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
# Characters that Delta's URLs cannot represent: a percent sign is read as an escape, a bracket as
# part of a host name; the others panic or are read as separators.
_NOT_IN_DELTA: Final = "%[]^|\\"


def require_address(text: str) -> None:
    """Refuse a text that cannot be the address of a lake in every process.

    Raises:
        ValueError: The text is neither an absolute folder nor an address of a store, or has keys.
    """
    require_no_secrets(text)
    scheme, _, rest = text.partition("://")
    if not (scheme in CLOUDS and rest.partition("/")[0]) and not Path(text).is_absolute():
        raise ValueError(f"{text} is not an address; give an absolute folder, or {_ALLOWED}")


def open_store(uri: str | Path) -> Store:
    """Return the store at a folder path, a `file://` URI or an address such as `s3://bucket/prefix`.

    Raises:
        StoreError: The address cannot be that of a lake.
        TypeError: The address is neither text nor a path, such as a list or a frame.
    """
    if not isinstance(uri, str | os.PathLike):
        raise TypeError(
            f"the address of a lake is of type {type(uri).__qualname__}; allowed: text or a path"
        )
    text = address_of_name(os.fspath(uri))
    if not text:
        raise StoreError(f"the address of the lake is empty; give {_ALLOWED}")
    require_no_secrets(text)
    # A one-letter scheme is a Windows drive.
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise StoreError(f"{text} is not the address of a lake: {error}") from error
    if isinstance(uri, Path) or len(parts.scheme) < 2:
        return _local(from_home(text).absolute())
    if parts.scheme == "file":
        return _local(Path(unquote(parts.path)).absolute())
    scheme = "s3" if parts.scheme == "s3a" else parts.scheme
    if scheme in CLOUDS and parts.netloc:
        _check_name(text)
        try:
            return ObjectStore(scheme, parts.netloc, parts.path.strip("/"), os.environ)
        except OSError as error:
            raise cannot("use", text, error) from error
    raise StoreError(f"{text} cannot be the address of a lake; give {_ALLOWED}")


def require_no_secrets(uri: str) -> None:
    """Refuse a lake's address with secrets, since it is recorded with every run.

    Raises:
        StoreError: The address has a login, a query or a fragment.
    """
    if redact_url(uri) != uri:
        raise StoreError(
            f"{uri} has keys or a query, and the address of a lake is recorded with every run;"
            " give s3://bucket/prefix alone, and set AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        )


def _local(root: Path) -> LocalStore:
    _check_name(root.as_posix())
    return LocalStore(root)


def _check_name(name: str) -> None:
    """Refuse addresses that Delta's URLs cannot represent: it would panic or lose the files."""
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise StoreError(f"{name!a} is not valid UTF-8; choose another folder name")
    control = [repr(char) for char in name if ord(char) < 32 or ord(char) == 127]
    if unusable := sorted({char for char in name if char in _NOT_IN_DELTA} | set(control)):
        raise StoreError(
            f"{shorten(ascii(name) if control else name)} has {' and '.join(unusable)} in it, which"
            " is not allowed in the path of Delta tables; choose another folder name"
        )
