"""A bucket of S3, Google Cloud Storage or Azure, by obstore."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final

import obstore
from obstore.exceptions import NotModifiedError

from ...store.object_files import as_os_error, make_store
from ...store.retry import MAX_TRIES, is_cut_off, retried
from .bucket import NOT_PLAIN, ObjectInfo, TooManyBytesError, UnlistableKeyError, is_plain
from .s3_page import can_ask, page_of

_PAGE: Final = 1000
_INVALID_PATH: Final = re.compile(r'invalid path: .*?[Pp]ath "(.*?)"(?: contained|: )')


class CloudBucket:
    """A bucket or container; see `Bucket`.

    Args:
        scheme: "s3", "gs" or "az".
        bucket: Name of the bucket or container.
        options: Settings by their object_store names; see `storage_options`.
    """

    def __init__(self, scheme: str, bucket: str, options: Mapping[str, str]) -> None:
        self._store: Any = make_store(scheme, bucket, "", options)
        self._scheme, self._bucket, self._options = scheme, bucket, options

    def entries(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield the objects below a folder; a page that is cut off is requested again."""
        last: str | None = None
        n_tries = 0
        while True:
            try:
                for page in self._pages(folder, last):
                    n_tries = 0
                    for entry in page:
                        yield _info(entry)
                        last = str(entry["path"])
            except OSError as error:
                if (found := _INVALID_PATH.search(str(error))) is not None:
                    if not can_ask(self._scheme, self._options):
                        raise UnlistableKeyError(found[1]) from error
                    last = yield from self._past(folder, last)
                    if last is None:
                        return
                    continue
                n_tries += 1
                if n_tries >= MAX_TRIES or not is_cut_off(error):
                    raise
            else:
                return

    def _past(self, folder: str, last: str | None) -> Generator[ObjectInfo, None, str | None]:
        """Yield pages until one ends with a key that obstore can begin after; return that key."""
        while True:
            page = page_of(self._bucket, self._options, folder, last)
            yield from (info._replace(key=_as_listed(info.key)) for info in page.infos)
            if page.is_last:
                return None
            last = page.infos[-1].key
            if is_plain(last) and not last.endswith("/"):
                return last

    def _pages(self, folder: str, after: str | None) -> Iterator[Any]:
        pages = obstore.list(self._store, prefix=folder or None, offset=after, chunk_size=_PAGE)
        while (page := as_os_error(lambda: next(pages, None))) is not None:
            yield page

    def head(self, key: str) -> ObjectInfo:
        """Return size and stamp of an object."""
        _require_plain(key)
        return as_os_error(lambda: retried(lambda: _info(obstore.head(self._store, key))))

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Return a range of bytes."""
        _require_plain(key)
        return as_os_error(
            lambda: retried(
                lambda: bytes(obstore.get_range(self._store, key, start=start, end=end))
            )
        )

    def read(self, key: str, max_bytes: int, mark: str = "") -> tuple[bytes | None, ObjectInfo]:
        """Return bytes and state of an object; no bytes if its stamp is still `mark`."""
        _require_plain(key)

        def work() -> tuple[bytes | None, ObjectInfo]:
            condition: Any = {"if_none_match": _tag_of(mark)} if _tag_of(mark) else None
            try:
                answer = obstore.get(self._store, key, options=condition)
            except NotModifiedError:
                return None, ObjectInfo(key, 0, mark)
            info = _info(answer.meta)
            if info.stamp == mark:
                return None, info
            if info.n_bytes > max_bytes:
                raise TooManyBytesError(info.n_bytes)
            return bytes(answer.bytes()), info

        return as_os_error(lambda: retried(work))


def _require_plain(key: str) -> None:
    if not is_plain(key):
        raise OSError(NOT_PLAIN)


def _as_listed(key: str) -> str:
    """Return a key as obstore lists it: without the "/" at the end of a plain one."""
    return key.removesuffix("/") if is_plain(key) else key


def _info(entry: Any) -> ObjectInfo:
    n_bytes = int(entry["size"])
    tag = entry.get("e_tag")
    stamp = f"{n_bytes}-{tag}" if tag else f"{n_bytes}-{entry['last_modified'].timestamp():.6f}"
    return ObjectInfo(str(entry["path"]), n_bytes, stamp)


def _tag_of(mark: str) -> str:
    """Return the ETag in a stamp; "" without one."""
    tag = mark.partition("-")[2]
    return tag if '"' in tag or tag.startswith("0x") else ""
