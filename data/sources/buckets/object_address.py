"""Address of an image that is an object of its own."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import AssayError, UnreadableImage
from ...images.limits import too_many_bytes
from ...object_addresses import parse
from ...vocabulary import Reason
from ..items import SourceOptions
from ..web.fetched import Fetched, GoneError
from .bucket import TooManyBytesError
from .open_bucket import bucket_of


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """An image in an object store.

    Attributes:
        address: Address of the object.
        asks_again: Whether the store must be asked if the object of a known item has changed; not
            where a listing has told its stamp.
    """

    address: str
    asks_again: bool = False

    @property
    def server(self) -> str:
        """Address of the bucket."""
        return parse(self.address).store

    def read(self, options: SourceOptions) -> bytes:
        """Return the object's bytes, at most `limits.max_bytes`.

        Raises:
            UnreadableImage: The object does not exist (NOT_FOUND), may not be read
                (NOT_PERMITTED), is too large, or the store failed (FETCH_FAILED).
        """
        return self.read_if_changed(options, "").raw or b""

    def read_if_changed(self, options: SourceOptions, mark: str) -> Fetched:
        """Return the object's bytes, unless its stamp is still the mark.

        Raises:
            UnreadableImage: As for `read`.
        """
        try:
            name = parse(self.address)
            raw, info = bucket_of(name).read(name.key, options.limits.max_bytes, mark)
        except TooManyBytesError as error:
            raise too_many_bytes(error.n_bytes, options.limits) from error
        except (OSError, AssayError) as error:
            raise _unreadable(error) from error
        return Fetched(raw, info.stamp)


def _unreadable(error: OSError | AssayError) -> UnreadableImage:
    if isinstance(error, FileNotFoundError):
        return GoneError(Reason.NOT_FOUND, "no such object")
    if isinstance(error, PermissionError):
        return UnreadableImage(Reason.NOT_PERMITTED, "the store does not allow to read it")
    return UnreadableImage(Reason.FETCH_FAILED, f"the store failed: {error}")
