from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import factories
import pytest
from archives import (
    COMPRESSIONS,
    PICTURES,
    inner,
    listed,
    packed_tar,
    packed_zip,
    problems,
    refusal,
)
from hypothesis import given
from hypothesis import strategies as st

from assay.data.images.inspect_image import ImageLimits
from assay.data.sources import handles
from assay.data.sources.archives import tars
from assay.data.sources.find import SourceOptions, find_items, read_item
from assay.data.sources.handles import WindowedStream
from assay.data.sources.uris import escape_of
from assay.data.vocabulary import Reason


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_zip_members_are_items_with_their_bytes(tmp_path, method):
    """Every member is read back unchanged, under a URI with archive and member."""
    path = packed_zip(tmp_path / "my pics.zip", PICTURES, compression=method)
    items = listed(path)
    assert items[0].source_uri == f"zip://{tmp_path}/my%20pics.zip!0/00.jpg"
    assert {
        name: read_item(item, SourceOptions())
        for name, item in zip(inner(items), items, strict=True)
    } == PICTURES


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_tar_members_are_items_with_their_bytes(tmp_path, compression):
    """Members of plain and compressed TAR archives are read in order and in reverse."""
    path = packed_tar(tmp_path / "x.tar", list(PICTURES.items()), compression)
    items = listed(path)
    assert items[0].source_uri == f"tar://{tmp_path}/x.tar!0/00.jpg"
    for order in (items, items[::-1]):
        read = {
            item.source_uri.partition("!")[2]: read_item(item, SourceOptions()) for item in order
        }
        assert read == PICTURES


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz"])
def test_members_are_read_from_many_threads(tmp_path, suffix):
    """Eight threads read the right bytes of each member from one shared archive."""
    path = tmp_path / f"x.{suffix}"
    if suffix == "zip":
        packed_zip(path, PICTURES)
    else:
        packed_tar(path, list(PICTURES.items()), suffix.partition(".")[2])
    items = listed(path)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda item: read_item(item, SourceOptions()), items * 20))
    assert read == list(PICTURES.values()) * 20


def test_a_compressed_tar_is_unpacked_once_when_read_in_order(tmp_path, monkeypatch):
    """Threads slightly out of order do not restart the archive."""
    path = packed_tar(tmp_path / "x.tar.gz", list(PICTURES.items()), "gz")
    items = listed(path)
    made: list[WindowedStream] = []

    class Counted(WindowedStream):
        def __init__(self, opener):
            super().__init__(opener)
            made.append(self)

    monkeypatch.setattr(tars, "WindowedStream", Counted)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda item: read_item(item, SourceOptions()), items))
    assert [stream.n_opened for stream in made] == [1]


def test_a_stream_goes_back_only_beyond_its_window(monkeypatch):
    """Reads within the window are served from memory; earlier ones reopen the stream."""
    monkeypatch.setattr(handles, "_WINDOW_BYTES", 40)
    monkeypatch.setattr(handles, "_STEP_BYTES", 10)
    body = bytes(range(200))
    stream = WindowedStream(lambda: io.BytesIO(body))
    assert stream.read_at(50, 25) == body[50:75]
    assert stream.read_at(45, 20) == body[45:65]
    assert stream.n_opened == 1
    assert stream.read_at(0, 5) == body[:5]
    assert stream.n_opened == 2
    assert stream.read_at(190, 50) == body[190:]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=20))
def test_a_stream_gives_what_a_slice_gives(reads):
    """Reads in any order equal slices of the whole."""
    body = bytes(n % 251 for n in range(300))
    stream = WindowedStream(lambda: io.BytesIO(body))
    for offset, n_bytes in reads:
        assert stream.read_at(offset, n_bytes) == body[offset : offset + n_bytes]


ESCAPES = ["../up.jpg", "a/../../up.jpg", "/etc/passwd", "C:\\x.jpg", "..\\up.jpg", "\\\\host\\x"]


def test_zip_members_that_escape_are_problems(tmp_path):
    """Names that lead out, links and devices are rejected rows; other members are read."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as out:
        for name in ESCAPES:
            out.writestr(name, b"x")
        for name, mode in (("link.jpg", 0o120777), ("device.jpg", 0o020666)):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            out.writestr(info, "/etc/passwd")
        out.writestr("good.jpg", factories.jpeg())
        out.writestr("a/", b"")
        out.writestr("__MACOSX/x.jpg", b"")
        out.writestr("b/.hidden.jpg", b"")
    items = listed(path)
    assert set(problems(items).values()) == {Reason.UNSAFE_PATH}
    assert len(problems(items)) == len(ESCAPES) + 2
    assert [item.source_uri[-8:] for item in items if not item.problem] == ["good.jpg"]
    assert refusal(items[0]).reason is Reason.UNSAFE_PATH


def test_tar_members_that_escape_are_problems(tmp_path):
    """Unsafe names, links, devices and pipes in TAR archives are rejected rows."""
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as out:
        for name in ESCAPES[:3]:
            info = tarfile.TarInfo(name)
            info.size = 1
            out.addfile(info, io.BytesIO(b"x"))
        for number, kind in enumerate(
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)
        ):
            info = tarfile.TarInfo(f"odd-{number}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            out.addfile(info)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        out.addfile(folder)
        info = tarfile.TarInfo("./good.jpg")
        info.size = 1
        out.addfile(info, io.BytesIO(b"x"))
    items = listed(path)
    assert set(problems(items).values()) == {Reason.UNSAFE_PATH}
    assert len(problems(items)) == 8
    assert inner(items)[-1] == "./good.jpg"


@given(st.lists(st.sampled_from(["..", ".", "a", "", "C:", "b.jpg", "...", "..a"]), max_size=5))
def test_a_name_is_unsafe_exactly_when_it_would_leave_its_folder(parts):
    """The check agrees with pathlib on names that leave a folder."""
    for separator in ("/", "\\"):
        name = separator.join(parts)
        plain = name.replace("\\", "/")
        leaves = plain.startswith(("/", "C:")) or ".." in Path(plain).parts
        is_empty = not [part for part in plain.split("/") if part not in {"", "."}]
        assert (escape_of(name) is not None) == (leaves or is_empty)


@given(st.text(max_size=30))
def test_safe_names_stay_below_any_folder(name):
    """Any text that counts as a safe name resolves below the folder."""
    if escape_of(name) is None and "\0" not in name:
        assert Path("/base").joinpath(name.replace("\\", "/")).is_relative_to("/base")
        assert ".." not in Path(name.replace("\\", "/")).parts


def test_names_that_occur_twice_are_two_items(tmp_path):
    """Members with the same name are two items with their own bytes."""
    zip_path, tar_path = tmp_path / "x.zip", tmp_path / "x.tar"
    with zipfile.ZipFile(zip_path, "w") as out:
        out.writestr("a.jpg", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            out.writestr("a.jpg", b"two")
    packed_tar(tar_path, [("a.jpg", b"one"), ("a.jpg", b"two")])
    for path in (zip_path, tar_path):
        items = listed(path)
        assert len({item.source_uri for item in items}) == 2
        assert [read_item(item, SourceOptions()) for item in items] == [b"one", b"two"]


def test_a_zip_bomb_stops_at_the_limit(tmp_path):
    """A member larger than the limit is refused, also if its header is false."""
    path = packed_zip(
        tmp_path / "x.zip", {"a.jpg": bytes(5_000_000)}, compression=zipfile.ZIP_DEFLATED
    )
    limits = ImageLimits(max_bytes=100_000)
    assert refusal(listed(path)[0], limits=limits).reason is Reason.TOO_MANY_BYTES
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 10)  # the central directory claims 10 bytes
    path.write_bytes(raw)
    (item,) = listed(path)
    assert refusal(item, limits=limits).reason in {Reason.TOO_MANY_BYTES, Reason.UNREADABLE}


def test_encrypted_and_damaged_zip_members_are_unreadable(tmp_path):
    """Encryption and a wrong checksum reject that member only."""
    path = packed_zip(tmp_path / "x.zip", {"a.jpg": b"a" * 100, "b.jpg": b"b" * 100})
    raw = bytearray(path.read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    raw[raw.index(b"b" * 100)] = 0
    path.write_bytes(raw)
    first, second = listed(path)
    assert refusal(first).detail == "encrypted in the archive"
    assert "Bad CRC-32" in refusal(second).detail
    assert refusal(first).reason is refusal(second).reason is Reason.UNREADABLE


def test_sidecars_speak_for_pictures_in_archives(tmp_path):
    """WebDataset's `.json`, `.cls` and `.txt` give labels in ZIP and TAR, and are not items."""
    members = {
        "d/000.jpg": b"0",
        "d/000.json": b'{"label": "fake", "domain": "art"}',
        "d/001.cls": b"0",
        "d/001.png": b"1",
        "d/001.txt": b"a caption",
        "d/002.left.jpg": b"2",
        "d/002.cls": b"1",
        "d/003.txt": b"no picture",
        "e/000.jpg": b"3",
    }
    expected = [
        ("d/000.jpg", "fake", "art"),
        ("d/001.png", "real", None),
        ("d/002.left.jpg", "fake", None),
        ("d/003.txt", None, None),
        ("e/000.jpg", None, None),
    ]
    paths = [packed_zip(tmp_path / "x.zip", members)]
    paths += [
        packed_tar(tmp_path / f"x.tar.{compression}", list(members.items()), compression)
        for compression in COMPRESSIONS
    ]
    for path in paths:
        items = listed(path)
        assert [
            (name, item.label, item.domain) for name, item in zip(inner(items), items, strict=True)
        ] == expected
        assert [read_item(item, SourceOptions()) for item in items][0::2] == [b"0", b"2", b"3"]


def test_folders_and_the_archives_own_name_give_labels(tmp_path):
    """The archive's name counts as a folder; folders inside take precedence."""
    for path in (
        packed_zip(tmp_path / "fake.zip", {"a.jpg": b"a", "real/b.jpg": b"b"}),
        packed_tar(tmp_path / "fake.tar.gz", [("a.jpg", b"a"), ("real/b.jpg", b"b")], "gz"),
    ):
        items = listed(path, label_from="parent-folder", domain_from="parent-folder")
        assert [(item.label, item.domain) for item in items] == [("fake", "fake"), ("real", "real")]


@pytest.mark.parametrize("compression", ["", "gz", "xz", "bz2"])
def test_a_tar_that_is_cut_gives_what_came_before_and_says_so(tmp_path, compression):
    """Members before the damage are items; the damage is one further item."""
    members = [(f"{n}.jpg", factories.noise(seed=n, size=(64, 64)).tobytes()) for n in range(8)]
    whole = packed_tar(tmp_path / "whole.tar", members).read_bytes()
    cut = whole[: len(whole) // 2]
    pack = {"": lambda b: b, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    (tmp_path / "cut.tar").write_bytes(pack[compression](cut))
    items = listed(tmp_path / "cut.tar")
    *good, last = [item for item in items if not item.problem]
    assert [read_item(item, SourceOptions()) for item in good] == [
        body for _, body in members[: len(good)]
    ]
    assert refusal(last).reason is Reason.TRUNCATED
    assert [item.problem[0] for item in items if item.problem] == [Reason.UNREADABLE]
    assert "damaged after" in items[-1].problem[1]


def test_a_compressed_stream_that_breaks_off_is_damage_too(tmp_path):
    """Half a .tar.gz gives the members before the end, and one item for the damage."""
    members = [(f"{n}.jpg", factories.noise(seed=n, size=(64, 64)).tobytes()) for n in range(8)]
    path = packed_tar(tmp_path / "x.tar.gz", members, "gz")
    path.write_bytes(factories.truncated(path.read_bytes()))
    items = listed(path)
    assert 2 <= len(items) <= 6
    assert items[-1].problem is not None
    assert read_item(items[0], SourceOptions()) == members[0][1]


def test_a_header_that_is_cut_off_is_damage(tmp_path):
    """A truncated header, which tarfile reads as the end, is reported as damage."""
    path = packed_tar(tmp_path / "x.tar", [("a.jpg", b"a"), ("b.jpg", b"b")])
    path.write_bytes(path.read_bytes()[: 1024 + 300])
    assert [bool(item.problem) for item in listed(path)] == [False, True]


def test_a_tar_header_of_gigabytes_is_refused_unread(tmp_path):
    """An attribute header above one megabyte is damage, and is not read into memory."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 3 * 2**30
    good = tarfile.TarInfo("a.jpg")
    raw = good.tobuf() + info.tobuf() + bytes(20_000)
    (tmp_path / "x.tar").write_bytes(raw)
    items = listed(tmp_path / "x.tar")
    assert inner(items)[0] == "a.jpg"
    assert "a header of" in items[-1].problem[1]


def test_fingerprints_follow_the_content(tmp_path):
    """A ZIP member keeps its fingerprint in a new archive; other bytes change it."""
    one = listed(packed_zip(tmp_path / "1.zip", {"a.jpg": b"same"}))[0]
    two = listed(packed_zip(tmp_path / "2.zip", {"a.jpg": b"same", "b.jpg": b"x"}))[0]
    three = listed(packed_zip(tmp_path / "3.zip", {"a.jpg": b"diff"}))[0]
    assert one.fingerprint == two.fingerprint != three.fingerprint


def test_an_archive_that_is_gone_or_changed_has_a_reason(tmp_path):
    """An archive removed or replaced after listing gives a reason."""
    zip_path = packed_zip(tmp_path / "x.zip", {"a.jpg": b"a"})
    tar_path = packed_tar(tmp_path / "x.tar.gz", [("a.jpg", b"a")], "gz")
    (from_zip,), (from_tar,) = listed(zip_path), listed(tar_path)
    packed_zip(zip_path, {"other.jpg": b"longer"})
    assert "changed" in refusal(from_zip).detail
    zip_path.unlink()
    tar_path.unlink()
    assert refusal(from_zip).reason is refusal(from_tar).reason is Reason.NOT_FOUND


def test_a_large_tar_is_listed_in_constant_memory(tmp_path):
    """Listing takes bounded memory per member."""
    path = packed_tar(tmp_path / "x.tar", [(f"{n}.jpg", b"x") for n in range(3000)])
    # Those of other tests in this process are there already.
    n_threads = threading.active_count()
    items = find_items([str(path)], SourceOptions())
    first = next(items)
    assert inner([first]) == ["0.jpg"]
    assert sum(1 for _ in items) == 2999
    assert threading.active_count() < n_threads + 10
