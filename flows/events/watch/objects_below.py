"""The objects below a watched prefix of an object store, one by one, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

from ....data.errors import InputError
from ....data.object_addresses import parse
from ....data.sources.buckets.bucket import UnlistableKeyError
from ....data.sources.buckets.open_bucket import bucket_of
from ....data.sources.cloud.walk import is_placeholder
from ....data.sources.items import SourceOptions
from ....data.sources.uris import is_chosen, is_hidden
from ....data.store.lake_mark import MARKER
from .files_below import UNFINISHED, FileState


class ObjectWalk:
    """One walk over the objects below a prefix.

    An object exists once its upload is complete, so it need not settle. Hidden names, names of
    unfinished files, lakes and empty objects that stand for folders are left out.

    Args:
        prefix: Address of the prefix, such as "s3://bucket/incoming".
        options: Settings of listing; `include` and `exclude` are used.

    Attributes:
        is_complete: Whether everything has been listed; an error ends the walk otherwise.
    """

    is_complete = True

    def __init__(self, prefix: str, options: SourceOptions) -> None:
        self._name = parse(prefix)
        self._options = options

    def __iter__(self) -> Iterator[FileState]:
        top = self._name.key.strip("/")
        # In the order of keys the mark of a lake precedes what the lake holds.
        lake: str | None = None
        try:
            for info in bucket_of(self._name).entries(top):
                folder, _, name = info.key.rpartition("/")
                if name == MARKER:
                    lake = f"{folder}/" if folder else ""
                if lake is not None and info.key.startswith(lake):
                    continue
                below = info.key.removeprefix(f"{top}/" if top else "").split("/")
                if is_placeholder(info) or is_hidden(below) or name.lower().endswith(UNFINISHED):
                    continue
                if is_chosen(below, self._options):
                    address = self._name.with_key(info.key)
                    yield FileState(address, info.n_bytes, info.stamp, 0.0)
        except UnlistableKeyError as error:
            raise InputError(f"{self._name.with_key(top)}: {error}") from error
        except OSError as error:
            raise InputError(
                f"{self._name.with_key(top)}: the store cannot be listed: {error}; check the"
                " address and the credentials"
            ) from error
