"""A file is read whole, within the limit, and only below its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.errors import UnreadableImage
from assay.data.images.limits import ImageLimits
from assay.data.sources.files import FileAddress, _head_of, _read
from assay.data.sources.items import SourceOptions
from assay.data.vocabulary import Reason

OPTIONS = SourceOptions(limits=ImageLimits(max_bytes=100))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with a file in a folder, beside a file that must not be read."""
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (tmp_path / "pics" / "new").mkdir(parents=True)
    (tmp_path / "pics" / "new" / "a.jpg").write_bytes(b"picture")
    return tmp_path.resolve() / "pics"


def reason_of(address: FileAddress) -> Reason:
    with pytest.raises(UnreadableImage) as caught:
        address.read(OPTIONS)
    return caught.value.reason


@pytest.fixture(params=["path from the system", "path looked up"])
def _how(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test also as on systems that do not tell the path of an open file."""
    if request.param == "path looked up":
        real = os.readlink

        def readlink(path: str, **options: int) -> str:
            if path.startswith("/proc/"):
                raise FileNotFoundError(path)
            return real(path, **options)

        monkeypatch.setattr(os, "readlink", readlink)


@pytest.mark.usefixtures("_how")
def test_a_file_and_a_link_below_the_folder_are_read(folder: Path) -> None:
    (folder / "b.jpg").symlink_to(folder / "new" / "a.jpg")
    for name in ("new/a.jpg", "b.jpg"):
        assert FileAddress(str(folder / name), str(folder)).read(OPTIONS) == b"picture"


@pytest.mark.usefixtures("_how")
def test_a_file_that_became_a_link_out_of_the_folder_is_not_read(folder: Path) -> None:
    """It was a file when the folder was listed."""
    file = folder / "new" / "a.jpg"
    file.unlink()
    file.symlink_to(folder.parent / "secret.jpg")
    assert reason_of(FileAddress(str(file), str(folder))) == Reason.UNSAFE_PATH


@pytest.mark.usefixtures("_how")
def test_a_file_whose_folder_became_a_link_out_is_not_read(folder: Path) -> None:
    """The file itself is no link, so only the path of the open file shows it."""
    (folder / "new" / "a.jpg").unlink()
    (folder / "new").rmdir()
    (folder / "new").symlink_to(folder.parent)
    address = FileAddress(str(folder / "new" / "secret.jpg"), str(folder))
    assert reason_of(address) == Reason.UNSAFE_PATH
    assert _head_of(str(folder / "new" / "secret.jpg"), str(folder)) == b""  # as a sidecar


def test_no_descriptor_is_left_open(folder: Path) -> None:
    """Neither by a file that is read, nor by one that is refused."""
    (folder / "out.jpg").symlink_to(folder.parent / "secret.jpg")
    (folder / "big.jpg").write_bytes(bytes(101))
    before = os.open(folder, os.O_RDONLY)
    os.close(before)
    for _ in range(3):
        assert FileAddress(str(folder / "new" / "a.jpg"), str(folder)).read(OPTIONS) == b"picture"
        assert reason_of(FileAddress(str(folder / "out.jpg"), str(folder))) == Reason.UNSAFE_PATH
        assert reason_of(FileAddress(str(folder / "big.jpg"), str(folder))) == Reason.TOO_MANY_BYTES
    after = os.open(folder, os.O_RDONLY)
    os.close(after)
    assert after == before


@given(n_bytes=st.integers(0, 60), n_before=st.integers(0, 60), limit=st.integers(0, 60))
def test_a_file_that_changes_its_size_is_read_to_its_end(
    tmp_path_factory: pytest.TempPathFactory, n_bytes: int, n_before: int, limit: int
) -> None:
    """Whatever the size before, all bytes are read, or one more than is allowed."""
    file = tmp_path_factory.getbasetemp() / "changing"
    file.write_bytes(bytes(range(n_bytes)))
    descriptor = os.open(file, os.O_RDONLY)
    try:
        raw = _read(descriptor, min(n_before, limit), limit)
    finally:
        os.close(descriptor)
    assert raw == bytes(range(n_bytes))[: limit + 1]
