"""Names of archive members: any bytes, any case, folders, links."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import factories
import pytest
from archives import (
    PICTURES,
    inner,
    listed,
    packed_zip,
    problems,
    tar_bytes,
)

from assay.data.sources.find import SourceOptions, read_item
from assay.data.vocabulary import Reason


def zip_of_names(path: Path, names: list[bytes], *, flags: int = 0) -> Path:
    """Return a ZIP archive with members of exactly these names in bytes."""
    stand_ins = [f"{n:02d}".ljust(len(name), "x") for n, name in enumerate(names)]
    packed_zip(path, {name: factories.jpeg(seed=n) for n, name in enumerate(stand_ins)})
    raw = path.read_bytes()
    for stand_in, name in zip(stand_ins, names, strict=True):
        raw = raw.replace(stand_in.encode(), name)
    if flags:
        changed = bytearray(raw)
        at = changed.find(b"PK\1\2")
        while at >= 0:
            changed[at + 8 : at + 10] = flags.to_bytes(2, "little")
            at = changed.find(b"PK\1\2", at + 4)
        raw = bytes(changed)
    path.write_bytes(raw)
    return path


NAMES = ["表.jpg", "ソ/能.jpg", "十/表/ポ.jpg"]  # their second bytes are those of backslashes


@pytest.mark.parametrize("encoding", ["cp932", "gbk", "big5", "utf-8", "euc_jp", "cp1251"])
def test_every_zip_member_is_an_item_whatever_bytes_its_name_holds(tmp_path, encoding):
    """Names in old encodings lose no member and are not split as paths."""
    words = NAMES if encoding != "cp1251" else ["ф.jpg", "ж/я.jpg", "щ/ъ/ы.jpg"]
    names = [name.encode(encoding, "replace") for name in words]
    items = listed(zip_of_names(tmp_path / "x.zip", names))
    assert len({item.source_uri for item in items}) == len(names)
    assert not problems(items)
    for n, item in enumerate(items):
        assert read_item(item, SourceOptions()) == factories.jpeg(seed=n)


def test_names_that_differ_in_case_or_normal_form_are_items_of_their_own(tmp_path):
    """Such names are distinct in ZIP and TAR, also if they are not UTF-8."""
    names = ["A.jpg", "a.jpg", "\u00e9.jpg", "e\u0301.jpg", "x\udcff.jpg", "x\udcfe.jpg"]
    members = [(name, name.encode("utf-8", "surrogateescape")) for name in names]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members, format=tarfile.GNU_FORMAT))
    (tmp_path / "y.tar").write_bytes(tar_bytes(members, format=tarfile.PAX_FORMAT))
    packed_zip(tmp_path / "x.zip", dict(members[:4]))
    for name, expected in (("x.tar", members), ("y.tar", members), ("x.zip", members[:4])):
        items = listed(tmp_path / name)
        assert len({item.source_uri for item in items}) == len(expected)
        assert [read_item(item, SourceOptions()) for item in items] == [raw for _, raw in expected]
        assert all(item.source_uri.isascii() for item in items)


def test_a_zip_member_that_is_named_like_a_folder_and_holds_bytes_is_an_item(tmp_path):
    """A member with a trailing slash and bytes is an item; an empty folder is not."""
    raw = packed_zip(
        tmp_path / "x.zip", {"photo.jpgx": b"bytes", "d/": b"", "e\\": b""}
    ).read_bytes()
    (tmp_path / "x.zip").write_bytes(raw.replace(b"photo.jpgx", b"photo.jpg/"))
    assert inner(listed(tmp_path / "x.zip")) == ["photo.jpg/"]


def test_a_hard_link_in_a_tar_is_its_file_under_another_name(tmp_path):
    """Hard links are read in a plain archive, and refused with advice in a compressed one."""
    for mode in ("w", "w:gz"):
        path = tmp_path / f"x.{mode[2:] or 'tar'}"
        with tarfile.open(path, mode) as out:
            for name, target in (("0.jpg", ""), ("b.jpg", "0.jpg"), ("c.jpg", "missing.jpg")):
                info = tarfile.TarInfo(name)
                raw = b"" if target else PICTURES["0/00.jpg"]
                info.size, info.linkname = len(raw), target
                info.type = tarfile.LNKTYPE if target else tarfile.REGTYPE
                out.addfile(info, io.BytesIO(raw))
        items = listed(path)
        assert inner(items) == ["0.jpg", "b.jpg", "c.jpg"]
        if mode == "w":
            assert read_item(items[1], SourceOptions()) == PICTURES["0/00.jpg"]
            assert problems(items) == {"c.jpg": Reason.UNSAFE_PATH}
        else:
            assert "unpack the archive" in items[1].problem[1]
