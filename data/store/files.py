"""Where a lake's files are: a local folder or an S3 prefix, behind one small interface.

One set of environment variables (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL`, `AWS_ALLOW_HTTP`) is spelled in two
dialects: pyarrow's for the shards, and object_store's for the tables of deltalake and
polars. A file appears whole or not at all, under either.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from ..errors import StoreError, shorten
from ..text.redaction import redact_url
from ..user_paths import from_home
from .retry import retried

TMP_PREFIX = ".tmp-"

# A percent sign is taken for an escape, a bracket for part of a host name; the others panic or
# are read as separators.
_NOT_IN_DELTA = "%[]^|\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file: its name below the store's root, its size, when it was last written (Unix s)."""

    name: str
    modified_s: float
    n_bytes: int


class Store(Protocol):
    """Named files below one root; names use `/` and never begin with it."""

    uri: str
    storage_options: dict[str, str]

    def path(self, name: str) -> str:
        """The full address of a name."""

    def read(self, name: str) -> bytes | None:
        """The whole file, or None when there is none."""

    def open_input(self, name: str) -> pa.NativeFile:
        """A pyarrow file to read from at random; FileNotFoundError when there is none."""

    def creating(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file to write to that gets its name when the block ends well, and is dropped else."""

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files directly in a folder, unfinished ones too; none when there is no folder."""

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""

    def sync(self, names: Iterable[str]) -> None:
        """Keep files that other libraries wrote, and their names, through a power cut."""

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder; no error when it is gone already."""

    def delete(self, name: str) -> None:
        """Remove a file; no error when it is gone already."""


class LocalStore:
    """A folder on this machine (or one mounted here)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = str(root)
        self.storage_options: dict[str, str] = {}

    def path(self, name: str) -> str:
        """The full address of a name."""
        return str(self.root / name)

    def read(self, name: str) -> bytes | None:
        """The whole file, or None when there is none."""
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open_input(self, name: str) -> pa.NativeFile:
        """A pyarrow file to read from at random; FileNotFoundError when there is none."""
        return pa.OSFile(self.path(name), "rb")

    @contextlib.contextmanager
    def creating(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to that gets its name when the block ends well, and is dropped else."""
        final = self.root / name
        _make_folder(final.parent)
        tmp = final.with_name(f"{TMP_PREFIX}{secrets.token_hex(6)}-{final.name}")
        try:
            with tmp.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            tmp.replace(final)
        except BaseException:
            tmp.unlink(missing_ok=True)
            raise
        _sync_folder(final.parent)

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files directly in a folder, unfinished ones too; none when there is no folder."""
        found = []
        gone = contextlib.suppress(FileNotFoundError, NotADirectoryError)
        with gone, os.scandir(self.root / folder) as entries:
            for entry in entries:
                # A file may be renamed or swept by another process while we list.
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_file(follow_symlinks=False):
                        name = f"{folder}/{entry.name}" if folder else entry.name
                        facts = entry.stat()
                        found.append(
                            StoredFile(name=name, modified_s=facts.st_mtime, n_bytes=facts.st_size)
                        )
        return sorted(found, key=lambda file: file.name)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sync(self, names: Iterable[str]) -> None:
        """Keep files that other libraries wrote, and their names, through a power cut."""
        folders = set()
        for name in names:
            file = self.root / name
            with contextlib.suppress(FileNotFoundError):
                _sync(file)
            folders |= {self.root / folder for folder in PurePosixPath(name).parents}
        for folder in folders:
            _sync_folder(folder)

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder; no error when it is gone already."""
        final = self.root / to
        _make_folder(final.parent)
        with contextlib.suppress(FileNotFoundError):
            (self.root / name).rename(final)
        _sync_folder(final.parent)

    def delete(self, name: str) -> None:
        """Remove a file; no error when it is gone already."""
        (self.root / name).unlink(missing_ok=True)


class S3Store:
    """A prefix of a bucket, at Amazon or at anything that speaks S3."""

    def __init__(self, bucket: str, prefix: str, env: Mapping[str, str] = os.environ) -> None:
        self.root = f"{bucket}/{prefix}" if prefix else bucket
        self.uri = f"s3://{self.root}"
        self.storage_options = s3_storage_options(env)
        options = self.storage_options
        endpoint = options.get("aws_endpoint_url")
        given = {
            "access_key": options.get("aws_access_key_id"),
            "secret_key": options.get("aws_secret_access_key"),
            "session_token": options.get("aws_session_token"),
            "region": options.get("aws_region"),
            "endpoint_override": endpoint,
            "scheme": endpoint.partition("://")[0] if endpoint else None,
        }
        self._fs = fs.S3FileSystem(**{key: value for key, value in given.items() if value})

    def path(self, name: str) -> str:
        """The full address of a name."""
        return f"{self.uri}/{name}"

    def read(self, name: str) -> bytes | None:
        """The whole file, or None when there is none."""

        def whole() -> bytes:
            with self._fs.open_input_stream(f"{self.root}/{name}") as file:
                return bytes(file.read())

        try:
            return retried(whole)
        except FileNotFoundError:
            return None

    def open_input(self, name: str) -> pa.NativeFile:
        """A pyarrow file to read from at random; FileNotFoundError when there is none."""
        return retried(lambda: self._fs.open_input_file(f"{self.root}/{name}"))

    @contextlib.contextmanager
    def creating(self, name: str) -> Iterator[IO[bytes]]:
        """A file to write to that gets its name when the block ends well, and is dropped else."""
        # Held in memory until it is whole: closing a pyarrow stream after an error would
        # complete the upload with what had been written so far.
        whole = io.BytesIO()
        yield whole

        def put() -> None:
            with self._fs.open_output_stream(f"{self.root}/{name}") as file:
                file.write(whole.getbuffer())

        retried(put)

    def files(self, folder: str = "") -> list[StoredFile]:
        """The files directly in a folder, unfinished ones too; none when there is no folder."""
        base = f"{self.root}/{folder}" if folder else self.root
        selector = fs.FileSelector(base, allow_not_found=True)
        found = retried(lambda: self._fs.get_file_info(selector))
        names = [
            StoredFile(
                name=f"{folder}/{info.base_name}" if folder else info.base_name,
                modified_s=info.mtime_ns / 1e9,
                n_bytes=info.size or 0,
            )
            for info in found
            if info.type == fs.FileType.File
        ]
        return sorted(names, key=lambda file: file.name)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None when there is none."""
        info = retried(lambda: self._fs.get_file_info(f"{self.root}/{name}"))
        return info.size if info.type == fs.FileType.File else None

    def sync(self, names: Iterable[str]) -> None:
        """Keep files that other libraries wrote; an object that was acknowledged is kept."""

    def move(self, name: str, to: str) -> None:
        """Rename a file or a folder; no error when it is gone already."""
        base = f"{self.root}/{name}"
        inside = fs.FileSelector(base, allow_not_found=True, recursive=True)
        found = [self._fs.get_file_info(base), *self._fs.get_file_info(inside)]
        for info in found:
            if info.type == fs.FileType.File:
                target = f"{self.root}/{to}{info.path.removeprefix(base)}"
                self._fs.copy_file(info.path, target)
                self._fs.delete_file(info.path)

    def delete(self, name: str) -> None:
        """Remove a file; no error when it is gone already."""
        with contextlib.suppress(FileNotFoundError):
            retried(lambda: self._fs.delete_file(f"{self.root}/{name}"))


def s3_storage_options(env: Mapping[str, str]) -> dict[str, str]:
    """The S3 settings of an environment, under the names that deltalake and polars take.

    Keys that are not set are left out, so that instance roles still work. Profiles of
    `~/.aws` are read for the shards only, by pyarrow: object_store does not know them.
    """
    sources = {
        "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
        "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
        "aws_session_token": ("AWS_SESSION_TOKEN",),
        "aws_region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
        "aws_endpoint_url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        "aws_allow_http": ("AWS_ALLOW_HTTP",),
    }
    options = {}
    for key, names in sources.items():
        value = next((env[name] for name in names if env.get(name)), None)
        if value is not None:
            options[key] = value
    endpoint = options.get("aws_endpoint_url", "")
    allowed = options.get("aws_allow_http", "").lower() in {"1", "true"}
    if endpoint.startswith("http://") and not allowed:
        raise StoreError(f"{endpoint} is not encrypted; set AWS_ALLOW_HTTP=true to use it anyway")
    return options


def open_store(uri: str | Path) -> Store:
    """Return the store at a folder path, a `file://` URI or `s3://bucket/prefix`.

    Raises:
        StoreError: No lake can be kept there.
        TypeError: Neither text nor a path: the text of a list or a frame would name a folder.
    """
    if not isinstance(uri, str | os.PathLike):
        raise TypeError(
            f"the address of a lake is of type {type(uri).__qualname__}; allowed: text or a path"
        )
    text = os.fspath(uri)
    if not text:
        raise StoreError("the address of the lake is empty; give a folder or s3://bucket/prefix")
    require_no_secrets(text)
    # A one-letter scheme is a Windows drive.
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise StoreError(f"{text} is no address of a lake: {error}") from error
    if isinstance(uri, Path) or len(parts.scheme) < 2:
        return _local(from_home(text).absolute())
    if parts.scheme == "file":
        return _local(Path(unquote(parts.path)).absolute())
    if parts.scheme in {"s3", "s3a"} and parts.netloc:
        _check_name(text)
        return S3Store(parts.netloc, parts.path.strip("/"))
    raise StoreError(f"cannot keep a lake at {text}; give a folder or s3://bucket/prefix")


def require_no_secrets(uri: str) -> None:
    """Raise `StoreError` where a lake's address holds keys: it is written down with every run."""
    if redact_url(uri) != uri:
        raise StoreError(
            f"{uri} holds keys or a query, and the address of a lake is written down with every"
            " run; give s3://bucket/prefix alone, and set AWS_ACCESS_KEY_ID,"
            " AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL"
        )


def _local(root: Path) -> LocalStore:
    _check_name(root.as_posix())
    return LocalStore(root)


def _check_name(name: str) -> None:
    """Refuse addresses that Delta's URLs cannot hold: it panics, or finds nothing again."""
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise StoreError(f"{name!a} is not valid UTF-8; choose another folder name")
    control = [repr(char) for char in name if ord(char) < 32 or ord(char) == 127]
    if unusable := sorted({char for char in name if char in _NOT_IN_DELTA} | set(control)):
        raise StoreError(
            f"{shorten(ascii(name) if control else name)} has {' and '.join(unusable)} in it, which"
            " Delta tables cannot have in their path; choose another folder name"
        )


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each so that a power cut does not undo it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; not every system can open a folder, or sync it."""
    if os.name == "nt":
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EINVAL, errno.ENOTSUP}:
            raise


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
