"""A data set on the Hugging Face Hub as a bucket, at one pinned commit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    hf_raise_for_status,
    http_backoff,
)

from ...errors import brief
from ...object_addresses import repository_of
from .bucket import ObjectInfo, TooManyBytesError

T = TypeVar("T")

_MISSING = (EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError)
_BUSY = (429, 500, 502, 503, 504)
_FORBIDDEN = (401, 403)


class HubBucket:
    """A data set; see `Bucket`.

    The revision is resolved to a commit at the first request, so that one run sees one state.

    Args:
        bucket: Name of the bucket, "datasets/org/name" or "datasets/org/name@revision".
    """

    def __init__(self, bucket: str) -> None:
        self._repository, self._revision = repository_of(bucket)
        self._api = HfApi()

    @functools.cached_property
    def _commit(self) -> str:
        about = _as_os_error(
            lambda: self._api.dataset_info(self._repository, revision=self._revision)
        )
        return str(about.sha)

    def entries(self, folder: str) -> Iterator[ObjectInfo]:
        """Yield the files below a folder; the Hub lists in another order, so all are sorted."""
        listed = _as_os_error(
            lambda: [
                _info(entry)
                for entry in self._api.list_repo_tree(
                    self._repository,
                    folder or None,
                    recursive=True,
                    revision=self._commit,
                    repo_type="dataset",
                )
                if hasattr(entry, "blob_id")
            ]
        )
        yield from sorted(listed)

    def head(self, key: str) -> ObjectInfo:
        """Return size and stamp of a file."""
        found = _as_os_error(
            lambda: self._api.get_paths_info(
                self._repository, [key], revision=self._commit, repo_type="dataset"
            )
        )
        files = [entry for entry in found if hasattr(entry, "blob_id")]
        if not files:
            raise FileNotFoundError(f"{key}: no such file in the data set")
        return _info(files[0])

    def read_range(self, key: str, start: int, end: int) -> bytes:
        """Return a range of bytes."""
        return self._get(key, {"Range": f"bytes={start}-{end - 1}"})[: end - start]

    def read(self, key: str, max_bytes: int, mark: str = "") -> tuple[bytes | None, ObjectInfo]:
        """Return bytes and state of a file; no bytes if its stamp is still `mark`."""
        info = self.head(key)
        if info.stamp == mark:
            return None, info
        if info.n_bytes > max_bytes:
            raise TooManyBytesError(info.n_bytes)
        return self._get(key, {}), info

    def _get(self, key: str, headers: dict[str, str]) -> bytes:
        url = hf_hub_url(self._repository, key, repo_type="dataset", revision=self._commit)

        def work() -> bytes:
            answer = http_backoff(
                "GET",
                url,
                headers=build_hf_headers() | headers,
                follow_redirects=True,
                retry_on_status_codes=_BUSY,
            )
            hf_raise_for_status(answer)
            body: bytes = answer.content
            return body

        return _as_os_error(work)


def _info(entry: Any) -> ObjectInfo:
    return ObjectInfo(str(entry.path), int(entry.size), f"{entry.size}-{entry.blob_id}")


def _as_os_error(work: Callable[[], T]) -> T:
    try:
        return work()
    except GatedRepoError as error:
        raise PermissionError(brief(error)) from error
    except _MISSING as error:
        raise FileNotFoundError(brief(error)) from error
    except OfflineModeIsEnabled as error:
        raise OSError("offline mode (HF_HUB_OFFLINE) forbids to read the Hub") from error
    except HfHubHTTPError as error:
        is_forbidden = error.response is not None and error.response.status_code in _FORBIDDEN
        kind = PermissionError if is_forbidden else OSError
        raise kind(brief(error)) from error
    except Exception as error:  # the library's transport is httpx or httpx2, by its version
        raise OSError(f"{type(error).__name__}: {brief(error)}") from error
