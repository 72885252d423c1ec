"""Ends of archives, data after them, and limits on decompression."""

from __future__ import annotations

import tracemalloc
import zipfile

import factories
import pytest
from archives import (
    ALL_COMPRESSIONS,
    inner,
    listed,
    packed_as,
    packed_tar,
    packed_zip,
    problems,
    refusal,
    tar_bytes,
)

from assay.data.images.inspect_image import ImageLimits
from assay.data.sources import packed
from assay.data.sources.find import SourceOptions, read_item
from assay.data.vocabulary import Reason


@pytest.mark.parametrize("compression", ALL_COMPRESSIONS)
def test_sidecars_come_anywhere_in_an_archive_and_in_any_case(tmp_path, compression):
    """Sidecars are found before or after their images, in any case."""
    pictures = [("p/a.JPG", b"a"), ("p/b.jpg", b"b"), ("p/c.jpg", b"c")]
    sidecars = [("p/b.CLS", b"0"), ("p/a.JSON", b'{"Label": "fake"}'), ("p/c.jpg.Txt", b"real")]
    for members in (pictures + sidecars, sidecars + pictures):
        path = tmp_path / f"x.tar.{compression}"
        path.write_bytes(packed_as(compression, tar_bytes(members)))
        zipped = packed_zip(tmp_path / "x.zip", dict(members))
        for items in (listed(path), listed(zipped)):
            assert [(name[2:3], i.label) for name, i in zip(inner(items), items, strict=True)] == [
                ("a", "fake"),
                ("b", "real"),
                ("c", "real"),
            ]
            assert [read_item(item, SourceOptions()) for item in items] == [b"a", b"b", b"c"]


@pytest.mark.parametrize("compression", ALL_COMPRESSIONS)
@pytest.mark.parametrize("is_packed_together", [True, False])
def test_archives_that_were_joined_give_the_members_of_all(
    tmp_path, compression, is_packed_together
):
    """`cat a.tar b.tar` and `cat a.tar.gz b.tar.gz` are read to their end."""
    parts = [tar_bytes([("a.jpg", b"a" * 700)]), tar_bytes([("b.jpg", b"b"), ("a.jpg", b"c")])]
    raw = packed_as(compression, parts[0] + parts[1])
    if not is_packed_together:
        raw = b"".join(packed_as(compression, part) for part in parts)
    (tmp_path / "x.tar").write_bytes(raw)
    items = listed(tmp_path / "x.tar")
    assert inner(items) == ["a.jpg", "b.jpg", "a.jpg#2"]
    assert [read_item(item, SourceOptions()) for item in items] == [b"a" * 700, b"b", b"c"]


@pytest.mark.parametrize("rest", [b"more", b"PK\3\4" + b"x" * 3000], ids=["short", "a zip"])
def test_what_follows_the_end_of_an_archive_is_told(tmp_path, rest):
    """Data after the end gives a row; zeros there are padding."""
    whole = tar_bytes([("a.jpg", b"a")])
    (tmp_path / "x.tar").write_bytes(whole + bytes(50_000))
    assert inner(listed(tmp_path / "x.tar")) == ["a.jpg"]
    (tmp_path / "x.tar").write_bytes(whole + rest)
    items = listed(tmp_path / "x.tar")
    assert [item.problem is None for item in items] == [True, False]
    assert "its end is followed by data" in items[1].problem[1]


def test_a_zip_in_front_of_another_is_told(tmp_path):
    """The first archive of `cat a.zip b.zip` is reported; a preceding program is not."""
    first = packed_zip(tmp_path / "a.zip", {"a.jpg": b"a"}).read_bytes()
    second = packed_zip(tmp_path / "b.zip", {"b.jpg": b"b"}).read_bytes()
    (tmp_path / "c.zip").write_bytes(first + second)
    items = listed(tmp_path / "c.zip")
    assert [item.problem is None for item in items] == [True, False]
    assert "precedes this one" in items[1].problem[1]
    (tmp_path / "c.zip").write_bytes(b"MZ a program that unpacks itself" + second)
    assert inner(listed(tmp_path / "c.zip")) == ["b.jpg"]


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz", "zst"])
def test_a_tar_bomb_is_refused_before_it_is_unpacked(tmp_path, compression, monkeypatch):
    """Excessive expansion ends the archive; earlier members are kept."""
    monkeypatch.setattr(packed, "CREDIT_BYTES", 2**20)
    good = tar_bytes([("good.jpg", b"good" * 100)])
    bomb = tar_bytes([("bomb.jpg", bytes(30_000_000)), ("late.jpg", b"late")])
    path = tmp_path / f"x.tar.{compression}"
    path.write_bytes(packed_as(compression, good[:1024] + bomb))
    streams = []
    opened = packed.PackedStream.__init__

    def counted(self, *args):
        opened(self, *args)
        streams.append(self)

    monkeypatch.setattr(packed.PackedStream, "__init__", counted)
    items = listed(path)
    assert inner(items)[:2] == ["good.jpg", "bomb.jpg"]
    assert items[-1].problem[0] is Reason.TOO_MANY_BYTES
    assert "unpacks to more than 100 times its size" in items[-1].problem[1]
    assert max(stream.tell() for stream in streams) < 2_500_000
    assert read_item(items[0], SourceOptions()) == b"good" * 100
    assert refusal(items[1], limits=ImageLimits(max_bytes=10**8)).reason is Reason.TOO_MANY_BYTES


def test_an_archive_that_shrinks_a_lot_is_read_as_far_as_its_size_goes(tmp_path, monkeypatch):
    """A ratio of 100 is always allowed, any ratio up to the credit."""
    monkeypatch.setattr(packed, "CREDIT_BYTES", 2**21)
    body = b"".join(
        factories.noise(seed=n, size=(10, 10)).tobytes() + bytes(20_000) for n in range(300)
    )
    path = packed_tar(tmp_path / "x.tar.gz", [(f"{n}.bmp", body) for n in range(3)], "gz")
    assert path.stat().st_size < 3 * len(body) / 30
    assert [item.problem for item in listed(path)] == [None] * 3


def test_zip_members_that_unpack_to_too_much_together_are_refused(tmp_path, monkeypatch):
    """The same limit applies to a ZIP by its directory; other members are read."""
    monkeypatch.setattr(packed, "CREDIT_BYTES", 2**20)
    members = {f"{n}.jpg": bytes(400_000) for n in range(5)} | {"z.jpg": factories.jpeg()}
    path = packed_zip(tmp_path / "x.zip", members, compression=zipfile.ZIP_DEFLATED)
    items = listed(path)
    refused = problems(items)
    assert set(refused.values()) == {Reason.TOO_MANY_BYTES}
    assert set(refused) < {f"{n}.jpg" for n in range(5)}
    assert len(refused) in {1, 2, 3}


def test_zip_members_that_share_their_bytes_are_refused(tmp_path):
    """Of members with the same bytes, only the first is read."""
    path = packed_zip(tmp_path / "x.zip", {"a.jpg": b"a" * 50, "b.jpg": b"b" * 50})
    raw = bytearray(path.read_bytes())
    second = raw.rindex(b"PK\1\2")
    raw[second + 42 : second + 46] = (0).to_bytes(4, "little")
    path.write_bytes(raw)
    assert problems(listed(path)) == {"b.jpg": Reason.UNREADABLE}


def test_a_zip_member_that_unpacks_to_more_than_it_states_is_refused_early(tmp_path):
    """Of 40 MB that are stated as 1000 bytes, less than 1 MB is unpacked."""
    path = packed_zip(
        tmp_path / "x.zip", {"a.jpg": bytes(40_000_000)}, compression=zipfile.ZIP_DEFLATED
    )
    raw = bytearray(path.read_bytes())
    for at in (22, raw.rindex(b"PK\1\2") + 24):
        raw[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(raw)
    (item,) = listed(path)
    tracemalloc.start()
    refused = refusal(item)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.reason is Reason.UNREADABLE
    assert "Bad CRC-32" in str(refused)
    assert peak < 1_000_000
