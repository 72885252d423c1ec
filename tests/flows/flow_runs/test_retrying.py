"""Which failures of a task are tried again."""

import errno

import pytest

from assay.data.errors import CommitConflict, ConfigError, InputError, ModelError, StoreError
from assay.flows.flow_runs.retrying import is_transient, waits_s


def caused(error, by):
    """Return an error as `raise error from by` leaves it."""
    error.__cause__ = by
    return error


@pytest.mark.parametrize(
    "error",
    [
        CommitConflict("another writer was first"),
        ConnectionResetError("the peer closed the connection"),
        TimeoutError("no answer in 30 s"),
        OSError(errno.EIO, "input/output error"),
        OSError("Generic S3 error: 503 Slow Down"),
        ValueError("error decoding response body"),
        caused(StoreError("cannot append to scores"), OSError("Generic S3 error")),
        caused(StoreError("outer"), caused(StoreError("inner"), ConnectionError("gone"))),
    ],
)
def test_a_store_or_a_network_that_failed_is_tried_again(error):
    """A retry may help where nothing but time has to change."""
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        InputError("no such file"),
        caused(InputError("cannot be read"), OSError(errno.EIO, "input/output error")),
        ConfigError("a policy is invalid"),
        ModelError("no weights"),
        StoreError("a shard is damaged"),
        caused(StoreError("a shard is missing"), FileNotFoundError(errno.ENOENT, "no such file")),
        caused(StoreError("cannot write"), OSError(errno.ENOSPC, "no space left on device")),
        PermissionError("forbidden"),
        OSError(errno.EROFS, "read-only file system"),
        ValueError("a bug"),
    ],
)
def test_what_a_person_has_to_change_is_not_tried_again(error):
    """Bad input, missing files, full disks and bugs fail at once."""
    assert not is_transient(error)


def test_waits_double_and_differ_between_processes():
    """Each is at most half longer than its share, and two draws are not the same."""
    waits = waits_s(3)
    assert all(base <= wait <= 1.5 * base for base, wait in zip((2, 4, 8), waits, strict=True))
    assert waits != waits_s(3)
