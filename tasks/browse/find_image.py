"""Lookup of one image of a lake by its file, the start of its id, its URI or its path."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final
from urllib.parse import quote

import polars as pl

from ...data.commands import command
from ...data.errors import InputError
from ...data.source_paths import path_of, scheme_of
from ...data.sources.uris import file_uri
from ...data.store.lake import Lake
from ...data.text.redaction import redact_url
from ...data.text.unicode import is_valid
from ...data.user_paths import from_home
from ...data.vocabulary import Reason, Status
from ..lake.fit import require_fit
from ..rejections import remedy_of

MIN_PREFIX_CHARS: Final = 6
_CANDIDATES_NAMED: Final = 5
_ID_CHARS_NAMED: Final = 16
_HEX: Final = frozenset("0123456789abcdef")


def find_image(lake: Lake, name: str) -> str:
    """Return the id of the one image that a name refers to.

    In this order: a URI, by its latest sighting; an existing file, by its bytes; 6 or more hex
    digits, as the start of an id; else the end of an ingested path or URI.

    Args:
        lake: Lake to look in.
        name: Path, URI, start of an id, or end of a path.

    Raises:
        InputError: No image or several match; the message names the candidates or what to do.
        StoreError: The lake cannot be read, or has lost images.
    """
    name = name.strip()
    if not name:
        raise InputError(f"an empty name is no image; {_see_all(lake)}")
    if scheme_of(name):
        return _of_uri(lake, name)
    file = local_file(name)
    if file is not None:
        return _of_file(lake, file)
    digits = name.lower()
    if set(digits) - _HEX:
        return _of_ending(lake, name)
    if len(digits) < MIN_PREFIX_CHARS:
        raise InputError(
            f"{name!r} is too short for an image id; give {MIN_PREFIX_CHARS} characters or more"
        )
    return _of_prefix(lake, digits)


def local_file(name: str) -> Path | None:
    """Return the existing file of a path or a `file://` URI; None if there is none.

    Raises:
        InputError: The path is a folder.
    """
    path = path_of(name) if name and "\0" not in name else None
    if not path:
        return None
    file = Path(path)
    try:
        if file.is_dir():
            raise InputError(f"{name} is a folder; give one image: its file, id or URI")
        return file if file.is_file() else None
    except OSError:  # a name that is too long, or a folder that may not be looked into
        return None


def read_file(file: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def _of_file(lake: Lake, file: Path) -> str:
    image_id = hashlib.sha256(read_file(file)).hexdigest()
    if _has(lake, image_id):
        return image_id
    before = _seen(lake, pl.col("source_uri") == file_uri(str(file)))
    stored = before["image_id"].drop_nulls()
    if len(stored):
        raise InputError(
            f"{file} has changed since it was ingested into {lake.uri}; the image that was there"
            f" is {stored[-1][:_ID_CHARS_NAMED]}"
        )
    if len(before):
        raise InputError(_rejection(str(file), before))
    start = command("moderate", file, lake=lake.uri)
    raise InputError(f"{lake.uri} has no image with the bytes of {file}; ingest it with: {start}")


def _of_uri(lake: Lake, uri: str) -> str:
    found = _seen(lake, pl.col("source_uri").is_in([uri, redact_url(uri)]))
    stored = found["image_id"].drop_nulls()
    if len(stored):
        return str(stored[-1])
    if len(found):
        raise InputError(_rejection(uri, found))
    file = local_file(uri)
    if file is not None:
        return _of_file(lake, file)
    raise InputError(f"nothing was ingested into {lake.uri} from {uri}; {_see_all(lake)}")


def _of_prefix(lake: Lake, digits: str) -> str:
    found = (
        lake.scan("images")
        # Bounds skip what is sorted, a prefix does not; "g" follows the last hex digit.
        .filter(pl.col("image_id").is_between(pl.lit(digits), pl.lit(f"{digits}g")))
        .select(pl.col("image_id").unique())
        .head(_CANDIDATES_NAMED)
        .collect()["image_id"]
        .sort()
        .to_list()
    )
    if not found and (gone := [one for one in lake.tombstones.ids() if one.startswith(digits)]):
        raise InputError(
            f"image {min(gone)[:_ID_CHARS_NAMED]} of {lake.uri} was forgotten; the table forgotten"
            " says when, by whom and why"
        )
    if not found:
        require_fit(lake, None)
        raise InputError(
            f"no image of {lake.uri} has an id that begins with {digits!r}; {_see_all(lake)}"
        )
    if len(found) > 1:
        some = ", ".join(image_id[:_ID_CHARS_NAMED] for image_id in found)
        raise InputError(f"several images begin with {digits!r}: {some}; give more characters")
    return str(found[0])


def _of_ending(lake: Lake, name: str) -> str:
    if not is_valid(name):
        raise InputError(f"there is no file {name!a}, and it is no image id or URI")
    path = str(from_home(name.removeprefix("./")))
    # "!" separates an archive and its member.
    marks = ("://",) if path.startswith("/") else ("/", "!")
    # URIs of files are percent-encoded, URLs are kept as given.
    endings = sorted({mark + text for mark in marks for text in (path, quote(path, safe="/!"))})
    uri = pl.col("source_uri")
    found = _seen(lake, pl.any_horizontal(uri.str.ends_with(ending) for ending in endings))
    stored = found.filter(pl.col("image_id").is_not_null())
    latest = stored.unique("image_id", keep="last", maintain_order=True)
    if len(latest) > 1:
        some = ", ".join(
            f"{image_id[:_ID_CHARS_NAMED]} ({source})"
            for image_id, source in latest.select("image_id", "source_uri")
            .tail(_CANDIDATES_NAMED)
            .iter_rows()
        )
        raise InputError(f"several images were ingested as {name!r}: {some}; give an id or a URI")
    if len(latest):
        return str(latest["image_id"][0])
    if len(found):
        raise InputError(_rejection(name, found))
    raise InputError(
        f"there is no file {name!r}, and {lake.uri} has no image of that id or name;"
        f" {_see_all(lake)}"
    )


def _has(lake: Lake, image_id: str) -> bool:
    rows = lake.rows_of("images", [image_id]).select("image_id")
    return not rows.head(1).collect().is_empty()


def _seen(lake: Lake, where: pl.Expr) -> pl.DataFrame:
    """Return the sightings that meet a condition, the latest last; null for forgotten images."""
    is_forgotten = pl.col("image_id").is_in(list(lake.tombstones.ids()))
    return (
        lake.scan("sightings")
        .filter(where)
        .with_columns(image_id=pl.when(~is_forgotten).then("image_id"))
        .sort("seen_at", maintain_order=True)
        .collect()
    )


def _rejection(name: str, found: pl.DataFrame) -> str:
    """Return the message about an item without an image."""
    last = found.filter(pl.col("status") == Status.REJECTED.value).tail(1)
    reason = last["reason"][0] if len(last) else None
    why = f": {Reason.text_of(reason)} ({reason}). {remedy_of(reason)}" if reason else ""
    return f"{name} was ingested and rejected{why}"


def _see_all(lake: Lake) -> str:
    return f"see the images of the lake with: {command('ls', lake=lake.uri)}"
