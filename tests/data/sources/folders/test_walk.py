"""Folders as sources: lakes inside, tables of labels, Parquet parts, patterns."""

from __future__ import annotations

import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path

import factories
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.data.errors import ConfigError, InputError
from assay.data.sources.find import Item, SourceOptions, find_items, read_item
from assay.data.store.lake import Lake
from assay.data.vocabulary import Reason

PICTURES = [factories.jpeg(seed=n, size=(16, 16)) for n in range(4)]


def tree(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PICTURES[number % 4])
    return root


def listed(*sources: Path | str, **options) -> list[Item]:
    return list(find_items([str(source) for source in sources], SourceOptions(**options)))


def names(items: list[Item], root: Path) -> list[str]:
    return [item.source_uri.removeprefix(f"{root.as_uri()}/") for item in items]


def inside(items: list[Item]) -> list[str]:
    return [item.source_uri.rpartition("/")[2] for item in items]


def problems(items: list[Item]) -> dict[str, tuple[Reason, str]]:
    return {item.source_uri.rpartition("/")[2]: item.problem for item in items if item.problem}


def test_a_lake_is_never_a_source(tmp_path):
    """A lake is skipped below a folder and under a glob; as a source it is an error."""
    tree(tmp_path, "a.jpg", "x/b.jpg")
    lake = tmp_path / "x" / "my lake"
    Lake(lake)
    tree(lake, "reports/r.html", "shards/s.jpg", "demo/d.jpg")
    (tmp_path / "link").symlink_to(lake)
    assert [item.source_uri for item in listed(tmp_path) if not item.problem] == [
        (tmp_path / "a.jpg").as_uri(),
        (tmp_path / "x" / "b.jpg").as_uri(),
    ]
    assert names(listed(f"{tmp_path}/**/*.jpg"), tmp_path) == ["a.jpg", "x/b.jpg"]
    assert names(listed(f"{tmp_path}/x/*"), tmp_path) == ["x/b.jpg"]
    for source in (tmp_path / "link", f"{lake}/shards/*.jpg"):
        with pytest.raises(InputError, match=r"lake.* is not a source; `assay score --lake"):
            listed(source)
    with pytest.raises(InputError, match=r"`assay publish --lake '/.*/my lake' --to DIR`"):
        listed(lake)
    for source in (lake / "reports", lake / "shards" / "s.jpg"):
        with pytest.raises(InputError, match="lies in the assay lake"):
            listed(source)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_folder_s_table_of_labels_is_no_item(tmp_path, suffix):
    """A table of labels gives labels by path; the nearest table and sidecars take precedence."""
    tree(tmp_path, "a.jpg", "b.jpg", "x/c.jpg", "x/y/d.jpg", "e.jpg")
    rows = [
        ("a.jpg", "fake", "art"),
        ("./b.jpg", "True", ""),
        ("x\\c.jpg", "real", "art"),
        ("x/y/d.jpg", "real", "art"),
        ("gone.jpg", "real", "art"),
        ("../out.jpg", "real", "art"),
    ]
    keys = ("File_Name", "label", "domain")
    path = tmp_path / f"metadata.{suffix}"
    if suffix == "csv":
        lines = [",".join(keys), *map(",".join, rows), "b.jpg"]
        path.write_text("\n".join(lines))
    elif suffix == "jsonl":
        lines = [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]
        path.write_text("\n".join([*lines, "{bad"]))
    else:
        pq.write_table(
            pa.Table.from_pylist([dict(zip(keys, row, strict=True)) for row in rows]), path
        )
    (tmp_path / "x" / "y" / "metadata.jsonl").write_text('{"file_name": "d.jpg", "label": 1}\n')
    (tmp_path / "b.json").write_text('{"Label": "real"}')
    items = listed(tmp_path)
    stored = {
        name: item for name, item in zip(inside(items), items, strict=True) if not item.problem
    }
    assert {name: (item.label, item.domain) for name, item in stored.items()} == {
        "a.jpg": ("fake", "art"),
        "b.jpg": ("real", None),
        "c.jpg": ("real", "art"),
        "d.jpg": ("fake", None),
        "e.jpg": (None, None),
    }
    odd = problems(items)
    assert odd[f"metadata.{suffix}!4"] == (Reason.NOT_FOUND, "no such file: gone.jpg")
    assert odd[f"metadata.{suffix}!5"] == (Reason.BAD_ROW, 'a file_name with a path with ".."')
    assert len(odd) == (2 if suffix == "parquet" else 3)
    (alone,) = listed(f"{tmp_path}/a.*")
    assert (alone.label, alone.domain) == ("fake", "art")
    assert len(listed(f"{tmp_path}/*.*")) == 3 + len(odd)


def packed(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as out:
            for name, body in members.items():
                out.writestr(name, body)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as out:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            out.addfile(info, io.BytesIO(body))
    return path


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz"])
def test_archives_have_tables_of_labels_and_lakes_too(tmp_path, name):
    """Tables of labels and lakes are handled in archives as in folders."""
    members = {
        "./t/a.jpg": PICTURES[0],
        "t/x/b.jpg": PICTURES[1],
        "t/metadata.csv": b"file_name;label\r\na.jpg;1.0\r\nx\\b.jpg;real\r\ngone.jpg;0\r\n",
        "t/lake/assay-lake.json": b"{}",
        "t/lake/reports/r.jpg": PICTURES[2],
    }
    items = listed(packed(tmp_path / name, members))
    assert [(inner, item.label) for inner, item in zip(inside(items), items, strict=True)] == [
        ("a.jpg", "fake"),
        ("b.jpg", "real"),
        ("metadata.csv#row-2", None),
    ]
    assert items[2].problem == (Reason.NOT_FOUND, "no such member: gone.jpg")
    (item,) = listed(packed(tmp_path / f"l{name}", {"assay-lake.json": b"{}", "a.jpg": b""}))
    assert "an assay lake, not a source" in item.problem[1]


def test_a_table_of_something_else_is_an_item(tmp_path):
    """A table without a column `file_name` is an ordinary item."""
    (tmp_path / "metadata.csv").write_text("a,b\n1,2\n")
    tree(tmp_path, "a.jpg")
    assert inside(listed(tmp_path)) == ["a.jpg", "metadata.csv"]


def part(path: Path, numbers: range, **columns) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"image": PICTURES[numbers.start : numbers.stop], **columns}), path)


def test_a_folder_of_parquet_parts_is_one_table(tmp_path):
    """Marker files are not items, a bad part is one row, and folders may be columns."""
    part(tmp_path / "label=fake" / "part-0.snappy.parquet", range(2))
    part(tmp_path / "label=real" / "part-1.parquet", range(2, 4))
    (tmp_path / "label=real" / "part-2.parquet").write_bytes(b"PAR1")
    for mark in ("_SUCCESS", "label=real/_metadata", "label=real/.part-1.parquet.crc"):
        (tmp_path / mark).write_bytes(b"")
    items = listed(tmp_path)
    assert inside(items) == [
        *("part-0.snappy.parquet!0", "part-0.snappy.parquet!1"),
        *("part-1.parquet!0", "part-1.parquet!1", "part-2.parquet"),
    ]
    assert [item.label for item in items] == ["fake", "fake", "real", "real", None]
    assert [read_item(item, SourceOptions()) for item in items[:4]] == PICTURES
    assert items[4].problem[0] is Reason.UNREADABLE
    again = listed(tmp_path, tmp_path / "label=fake" / "part-0.snappy.parquet")
    assert again == items
    assert [item.label for item in listed(tmp_path, label_from="column:label")] == [
        item.label for item in items
    ]


def test_a_published_data_set_is_a_source(tmp_path):
    """Card and lock of a published dataset are not items; the same names elsewhere are."""
    part(tmp_path / "ds" / "data" / "train-0.parquet", range(2))
    for name in ("ds/README.md", "ds/VERSIONS.lock", "README.md"):
        (tmp_path / name).write_text("x")
    assert inside(listed(tmp_path)) == ["README.md", "train-0.parquet!0", "train-0.parquet!1"]


def test_parts_in_folders_take_their_label(tmp_path):
    """Parquet parts take the label of their folder; a table without images is refused."""
    part(tmp_path / "real" / "0.parquet", range(1))
    pq.write_table(pa.table({"n": [1]}), tmp_path / "numbers.parquet")
    items = listed(tmp_path, label_from="parent-folder")
    assert items[1].label == "real"
    assert items[0].problem[0] is Reason.NOT_AN_IMAGE
    assert "it has: n" in items[0].problem[1]


def test_what_a_pattern_says_is_matched_by_a_library(tmp_path):
    """Braces, sets and repeated signs match; one text is one pattern; nothing warns."""
    tree(tmp_path, "a.jpg", "b.PNG", "[c].jpg", "{d}.jpg", "x/e.webp", "x/[/f.jpg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert inside(listed(tmp_path, exclude="*.png")) == [
            *("%5Bc%5D.jpg", "a.jpg", "%7Bd%7D.jpg", "e.webp", "f.jpg"),
        ]
        assert inside(listed(tmp_path, include=["*.{png,webp}"])) == ["b.PNG", "e.webp"]
        assert inside(listed(tmp_path, include=("[[]c].jpg",))) == ["%5Bc%5D.jpg"]
        assert inside(listed(tmp_path, include=("\\{d}.jpg", "./x/e*"))) == [
            "%7Bd%7D.jpg",
            "e.webp",
        ]
        assert inside(listed(tmp_path, include=("[a--b&&||~~].jpg", "["))) == ["f.jpg"]
        assert inside(listed(f"{tmp_path}/{{a,b}}.*")) == ["a.jpg", "b.PNG"]
        assert inside(listed(f"{tmp_path}/[[]*")) == ["%5Bc%5D.jpg"]
        assert inside(listed(f"{tmp_path}/[c].jpg")) == ["%5Bc%5D.jpg"]
    with pytest.raises(ConfigError, match="more than 1000 alternatives"):
        listed(tmp_path, include=("{1..2000}.jpg",))
