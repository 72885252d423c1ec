"""Sources `s3://`, `gs://`, `az://` and `hf://`: an object, a prefix or a glob."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from ...commands import command
from ...errors import InputError
from ...object_addresses import ObjectName, is_object, parse
from ...store.lake_mark import MARKER
from ...vocabulary import Reason
from ..buckets.bucket import ObjectInfo, UnlistableKeyError
from ..buckets.open_bucket import bucket_of
from ..buckets.open_file import forget_objects
from ..folders.globs import has_magic
from ..forms import Form, form_of
from ..items import Item, SourceOptions, bad_item
from ..labelling import IMAGE_SUFFIXES, MAX_SIDECAR_BYTES, SIDECAR_SUFFIXES, stems_of_image
from ..protocol import FormSource, IsListed, SourceRef
from ..uris import compile_pattern, file_uri, is_hidden
from .walk import Choice, Walk, is_placeholder, item_of_object

_HELP: Final = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    "hf": "HF_TOKEN",
}


class BucketSource:
    """Row of `SOURCES` for object stores.

    Args:
        forms: Sources of files with items inside: archives, tables and lists.
    """

    name = "bucket"

    def __init__(self, forms: Sequence[FormSource]) -> None:
        self._forms = {source.name: source for source in forms}

    def takes(self, ref: SourceRef) -> bool:
        """Return whether the reference is an address in an object store."""
        return ref.path is None and is_object(ref.text)

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse an address that does not exist, may not be read, or is a lake.

        Raises:
            InputError: The store refuses, there is no such object or prefix, or the object cannot
                be opened in its form.
        """
        name = parse(ref.text)
        forget_objects()
        try:
            _require_no_lake(ref, name)
            info = _object_at(name)
            if info is not None:
                self._check_object(str(ref), options)
            elif _is_empty(name):
                kind = "object matches the pattern" if has_magic(name.key) else "such object or"
                what = f"no {kind}{'' if has_magic(name.key) else ' prefix'}"
                raise InputError(f"{ref}: {what}; list the bucket to see what it has")
        except FileNotFoundError as error:
            raise InputError(f"{ref}: the bucket or container does not exist: {error}") from error
        except PermissionError as error:
            raise InputError(
                f"{ref}: the store does not allow it ({error}); set credentials that may list and"
                f" read the bucket: {_HELP[name.scheme]}"
            ) from error
        except UnlistableKeyError as error:
            raise InputError(f"{ref}: {error}") from error
        except OSError as error:
            raise InputError(
                f"{ref}: the store cannot be used: {error}; correct the address, or what leads to"
                f" the store: {_HELP[name.scheme]}"
            ) from error

    def items(self, ref: SourceRef, options: SourceOptions, is_listed: IsListed) -> Iterator[Item]:
        """Yield the items of the object, or of what the prefix or the glob has."""
        name = parse(ref.text)
        try:
            info = _object_at(name)
        except OSError as error:
            detail = f"the store failed: {error}"
            yield bad_item(file_uri(str(ref)), Reason.FETCH_FAILED, detail)
            return
        if info is not None:
            own = self._items_of_object(str(ref), options, is_listed)
            if own is not None:
                yield from own
            elif not is_listed(str(ref)):
                yield _image(info, str(ref), options)
            return
        top, choose = _chooser(name)
        yield from Walk(
            top,
            options,
            choose=choose,
            of_file=partial(self._items_or_problem, options=options, is_listed=is_listed),
            is_listed=is_listed,
        ).items()

    def _check_object(self, address: str, options: SourceOptions) -> None:
        source = self._forms.get(form_of(address).value)
        if source is not None:
            source.check(SourceRef(address), options)

    def _items_of_object(
        self, address: str, options: SourceOptions, is_listed: IsListed
    ) -> Iterator[Item] | None:
        """Return the items inside an object; None for an image."""
        if address.lower().endswith(IMAGE_SUFFIXES):
            return None
        form = form_of(address)
        if form is Form.FILE:
            return None
        return self._forms[form.value].items(SourceRef(address), options, is_listed)

    def _items_or_problem(
        self, address: str, *, options: SourceOptions, is_listed: IsListed
    ) -> Iterator[Item] | None:
        try:
            items = self._items_of_object(address, options, is_listed)
            if items is not None:
                self._check_object(address, options)
        except (InputError, OSError) as error:
            detail = str(error).removeprefix(f"{address}: ")
            return iter([bad_item(file_uri(address), Reason.UNREADABLE, detail)])
        return items


def _object_at(name: ObjectName) -> ObjectInfo | None:
    """Return the object at an address; None for a prefix or a glob.

    Raises:
        OSError: The store cannot be asked.
    """
    if not name.key or name.key.endswith("/"):
        return None
    try:
        info = bucket_of(name).head(name.key)
    except FileNotFoundError:
        return None
    return None if is_placeholder(info) and not _is_empty(name) else info


def _is_empty(name: ObjectName) -> bool:
    """Return whether nothing is below a prefix or matches a glob."""
    top, choose = _chooser(name)
    depth = len(top.key.split("/")) if top.key else 0
    listed = bucket_of(top).entries(top.key)
    return all(choose(info.key.split("/")[depth:]) == "not" for info in listed)


def _chooser(name: ObjectName) -> tuple[ObjectName, Callable[[Sequence[str]], Choice]]:
    """Return the prefix to list, and how its keys are chosen."""
    parts = [part for part in name.key.split("/") if part]
    if not has_magic(name.key):
        return name._replace(key="/".join(parts)), lambda _parts: "below"
    at = next(n for n, part in enumerate(parts) if has_magic(part))
    pattern = parts[at:]
    # `**` stands for objects, as it does for files; other globs may also choose folders.
    depth = None if "**" in pattern else len(pattern)
    matcher = compile_pattern("/".join(pattern))
    shows_hidden = any(part.startswith(".") for part in pattern)

    def choose(key: Sequence[str]) -> Choice:
        top = key if depth is None else key[:depth]
        if not shows_hidden and is_hidden(key):
            return "not"
        if (depth is not None and len(key) < depth) or not matcher.match("/".join(top)):
            return "not"
        return "itself" if len(top) == len(key) else "below"

    return name._replace(key="/".join(parts[:at])), choose


def _require_no_lake(ref: SourceRef, name: ObjectName) -> None:
    """Refuse an address in a lake, since a run would read its own output."""
    parts = [part for part in name.key.split("/") if part]
    plain = next((n for n, part in enumerate(parts) if has_magic(part)), len(parts))
    bucket = bucket_of(name)
    for depth in range(plain, -1, -1):
        folder = "/".join(parts[:depth])
        try:
            bucket.head(f"{folder}/{MARKER}" if folder else MARKER)
        except FileNotFoundError:
            continue
        lake = name.with_key(folder)
        score, publish = command("score", lake=lake), command("publish", lake=lake)
        raise InputError(
            f"{ref} lies in the assay lake {lake}, and a lake is not a source; `{score}` scores"
            f" its images, `{publish} --to DIR` writes a dataset, which is a source"
        )


def _image(info: ObjectInfo, address: str, options: SourceOptions) -> Item:
    """Return the item of a single object, with the sidecars that lie beside it."""
    name = parse(address)
    bucket = bucket_of(name)
    bodies: dict[str, bytes] = {}
    folder, slash, last = info.key.rpartition("/")
    for stem in reversed(stems_of_image(last)):
        for suffix in SIDECAR_SUFFIXES:
            try:
                key = f"{folder}{slash}{stem}{suffix}"
                bodies[suffix] = bucket.read(key, MAX_SIDECAR_BYTES)[0] or b""
            except (OSError, ValueError):
                continue
    return item_of_object(info, address, options, sidecars=bodies)
