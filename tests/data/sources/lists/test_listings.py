from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from listed_pictures import PICTURES, listed, read

from assay.data.errors import InputError
from assay.data.images.inspect_image import ImageLimits
from assay.data.schema import SHARD
from assay.data.sources import parquet
from assay.data.sources.find import SourceOptions, read_item
from assay.data.vocabulary import Reason

TEXT = base64.b64encode(PICTURES[0]).decode()


def written(path: Path, *rows: object) -> Path:
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


def test_a_csv_of_paths_gives_one_item_per_row(folder):
    """Relative paths start at the list's folder; labels and domains come from columns."""
    path = written(
        folder / "list.csv",
        "path,label,domain",
        "pics/0.jpg,real,news",
        f"{folder}/pics/1.jpg,fake,",
        f"{(folder / 'pics' / '2.jpg').as_uri()},,art",
        "./pics/../pics/3.jpg,1,art",
    )
    items = listed(path, domain="default")
    assert [item.source_uri for item in items] == [f"csv://{path}!{n}" for n in range(4)]
    assert [(item.label, item.domain) for item in items] == [
        ("real", "news"),
        ("fake", "default"),
        (None, "art"),
        ("fake", "art"),
    ]
    assert read(items) == PICTURES[:4]


def test_bad_rows_of_a_csv_are_rows_all_the_same(folder):
    """Missing files, empty cells, short rows and very long cells keep their row number."""
    path = written(
        folder / "list.csv",
        "path,label",
        "pics/0.jpg,real",
        "pics/none.jpg,real",
        ",real",
        "pics/1.jpg",
        "",
        "pics/1.jpg,real,extra",
        f"{'x' * 200_000},real",
        "ftp://host/a.jpg,real",
        "pics/\0.jpg,real",
        "pics,real",
        "pics/2.jpg,real",
    )
    items = listed(path)
    assert [item.source_uri.rpartition("!")[2] for item in items] == [str(n) for n in range(10)]
    assert read(items) == [
        PICTURES[0],
        Reason.NOT_FOUND,
        *[Reason.BAD_ROW] * 6,
        Reason.NOT_AN_IMAGE,
        PICTURES[2],
    ]
    assert items[1].label == "real"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_delimiters_and_byte_order_marks_are_understood(folder, delimiter, encoding):
    """Semicolons, tabs and byte order marks are read."""
    path = folder / "list.csv"
    path.write_text(f"path{delimiter}label\npics/0.jpg{delimiter}fake\n", encoding=encoding)
    (item,) = listed(path)
    assert (item.label, read([item])) == ("fake", [PICTURES[0]])


def test_columns_can_be_named(folder):
    """Columns of images, labels and domains can be requested; a missing one is an error."""
    path = written(folder / "list.csv", "path,where,truth,set", "x,pics/0.jpg,fake,art")
    (item,) = listed(
        path, image_column="where", label_from="column:truth", domain_from="column:set"
    )
    assert (item.label, item.domain, read([item])) == ("fake", "art", [PICTURES[0]])
    for options in (
        {"image_column": "no"},
        {"label_from": "column:no"},
        {"domain_from": "column:no"},
    ):
        with pytest.raises(InputError, match='no column "no"; it has: path, where, truth, set'):
            listed(path, **options)


def test_parent_folders_of_listed_paths_give_labels(folder):
    """With parent-folder the label comes from the path in the row, not from the list's path."""
    (folder / "pics").rename(folder / "fake")
    path = written(folder / "list.csv", "path", "fake/0.jpg")
    (item,) = listed(path, label_from="parent-folder", domain_from="parent-folder")
    assert (item.label, item.domain) == ("fake", "fake")


def test_json_lines_hold_paths_or_the_pictures_themselves(folder):
    """A row may have a path, base64, a data: URI, or Hugging Face's struct."""
    path = written(
        folder / "list.jsonl",
        {"image": "pics/0.jpg", "label": "real"},
        {"image": TEXT, "label": 1},
        "",
        {"image": f"data:image/jpeg;base64,{TEXT}"},
        {"image": {"bytes": TEXT, "path": "x.jpg"}},
        {"image": {"bytes": None, "path": "pics/3.jpg"}},
        {"file_name": "pics/4.jpg", "domain": "art"},
    )
    items = listed(path)
    assert [item.source_uri for item in items] == [f"jsonl://{path}!{n}" for n in range(6)]
    assert read(items) == [*[PICTURES[0]] * 4, PICTURES[3], PICTURES[4]]
    assert [item.label for item in items] == ["real", "fake", None, None, None, None]
    assert items[5].domain == "art"


def test_bad_json_lines_are_rows_all_the_same(folder):
    """Invalid JSON, other values, missing images and bad base64 are rows with a reason."""
    path = written(
        folder / "list.jsonl",
        {"image": "pics/0.jpg"},
        "{broken",
        "[1, 2]",
        {"other": 1},
        {"image": None},
        {"image": 5},
        {"image": {"path": None}},
        {"image": {"bytes": "???"}},
        {"image": "data:image/jpeg,plain"},
        "[" * 100_000,
        {"image": "pics/1.jpg"},
    )
    assert read(listed(path)) == [PICTURES[0], *[Reason.BAD_ROW] * 9, PICTURES[1]]


def test_a_line_beyond_the_limit_is_too_many_bytes(folder):
    """A line of megabytes is skipped without being held in memory."""
    path = written(folder / "list.jsonl", {"image": "A" * 3_000_000}, {"image": "pics/0.jpg"})
    limits = ImageLimits(max_bytes=100_000)
    items = listed(path, limits=limits)
    assert read(items, limits=limits) == [Reason.TOO_MANY_BYTES, PICTURES[0]]


def test_a_list_without_pictures_is_an_input_error(folder):
    """A list without images in its first row is an error."""
    with pytest.raises(InputError, match="it has: a, b; name the column"):
        listed(written(folder / "list.jsonl", {"a": 1, "b": 2}))
    with pytest.raises(InputError, match='no column "x"'):
        listed(written(folder / "list.jsonl", {"image": "a"}), image_column="x")


def test_fingerprints_follow_what_a_row_points_to(folder):
    """Appending to a list keeps earlier fingerprints; a changed file changes its row's."""
    path = written(folder / "list.jsonl", {"path": "pics/0.jpg"}, {"image": TEXT})
    before = listed(path)
    written(path, {"path": "pics/0.jpg"}, {"image": TEXT}, {"path": "pics/1.jpg"})
    assert [i.fingerprint for i in listed(path)][:2] == [i.fingerprint for i in before]
    (folder / "pics" / "0.jpg").write_bytes(b"new content")
    after = listed(path)
    assert after[0].fingerprint != before[0].fingerprint
    assert after[1].fingerprint == before[1].fingerprint


def test_urls_in_a_list_are_items_without_being_fetched(folder):
    """Listing URLs sends no request."""
    path = written(folder / "list.csv", "url,label", "https://example.invalid/fake/a.jpg,real")
    (item,) = listed(path)
    assert (item.problem, item.label) == (None, "real")
    (item,) = listed(path, label_from="parent-folder")
    assert item.label == "fake"


def shard(path: Path, *, rows_per_group: int = 2) -> Path:
    """Return a Parquet file as this project and the `datasets` library write it."""
    table = pa.table(
        {
            "image_id": [str(n) for n in range(6)],
            "image": [{"bytes": raw, "path": f"real/{n}.jpg"} for n, raw in enumerate(PICTURES)],
        },
        schema=SHARD,
    )
    pq.write_table(table, path, row_group_size=rows_per_group)
    return path


@pytest.mark.parametrize("rows_per_group", [1, 2, 6])
def test_structs_of_bytes_and_path_are_read_row_by_row(tmp_path, rows_per_group):
    """Hugging Face's images are read in order, in reverse and from many threads."""
    path = shard(tmp_path / "x.parquet", rows_per_group=rows_per_group)
    items = listed(path)
    assert [item.source_uri for item in items] == [f"parquet://{path}!{n}" for n in range(6)]
    assert read(items) == PICTURES
    assert read(items[::-1]) == PICTURES[::-1]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda item: read_item(item, SourceOptions()), items * 10))
    assert got == PICTURES * 10
    assert listed(path, label_from="parent-folder")[0].label == "real"


def test_what_datasets_writes_is_understood(tmp_path):
    """Image features, class names and missing labels of the `datasets` library are read."""
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "label": datasets.ClassLabel(names=["fake", "real"]),
            "domain": datasets.Value("string"),
        }
    )
    made = datasets.Dataset.from_dict(
        {
            "picture": [{"bytes": raw, "path": None} for raw in PICTURES[:3]],
            "label": [0, 1, -1],
            "domain": ["a", "b", None],
        },
        features=features,
    )
    made.to_parquet(str(tmp_path / "x.parquet"))
    items = listed(tmp_path / "x.parquet")
    assert read(items) == PICTURES[:3]
    assert [item.label for item in items] == ["fake", "real", None]
    assert [item.domain for item in items] == ["a", "b", None]


@pytest.mark.parametrize(
    "kind",
    [pa.binary(), pa.large_binary(), pa.list_(pa.uint8()), pa.binary_view()],
    ids=str,
)
def test_bytes_of_every_arrow_type_are_read(tmp_path, kind):
    """Plain binary columns of every type are read."""
    cells = [list(raw) if pa.types.is_list(kind) else raw for raw in PICTURES]
    table = pa.table({"jpg": pa.array(cells, kind), "label": [0, 1] * 3})
    pq.write_table(table, tmp_path / "x.parquet")
    items = listed(tmp_path / "x.parquet")
    assert read(items) == PICTURES
    assert [item.label for item in items] == ["real", "fake"] * 3


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())],
    ids=str,
)
def test_paths_in_parquet_are_followed(folder, kind):
    """A text column has absolute or relative paths; a bad one gives a row with a reason."""
    cells = ["pics/0.jpg", None, "pics/none.jpg", str(folder / "pics" / "1.jpg")]
    pq.write_table(pa.table({"path": pa.array(cells, kind)}), folder / "x.parquet")
    assert read(listed(folder / "x.parquet")) == [
        PICTURES[0],
        Reason.BAD_ROW,
        Reason.NOT_FOUND,
        PICTURES[1],
    ]


def test_a_struct_may_point_to_a_file(folder):
    """A struct with a path and no bytes is read from the file; one with neither is rejected."""
    cells = [
        {"bytes": None, "path": "pics/2.jpg"},
        {"bytes": None, "path": None},
        None,
        {"bytes": b"", "path": None},
    ]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), folder / "x.parquet")
    assert read(listed(folder / "x.parquet")) == [
        PICTURES[2],
        Reason.BAD_ROW,
        Reason.BAD_ROW,
        b"",
    ]


def test_parquet_by_polars_is_understood(tmp_path):
    """Files written by polars are read the same way."""
    frame = pl.DataFrame({"image": PICTURES, "label": ["real", "fake"] * 3})
    frame.write_parquet(tmp_path / "x.parquet")
    items = listed(tmp_path / "x.parquet")
    assert read(items) == PICTURES
    assert items[1].label == "fake"


def test_a_row_beyond_the_byte_limit_is_refused(tmp_path):
    """The byte limit applies to images in tables."""
    (item, *_) = listed(shard(tmp_path / "x.parquet"))
    assert read([item], limits=ImageLimits(max_bytes=100)) == [Reason.TOO_MANY_BYTES]


def test_damaged_pages_cost_their_rows_only(tmp_path):
    """Overwritten bytes in a file make only some rows unreadable."""
    path = tmp_path / "x.parquet"
    table = pa.table({"image": [bytes([n]) * 5000 for n in range(40)]})
    pq.write_table(
        table,
        path,
        row_group_size=10,
        use_dictionary=False,
        compression="gzip",
        write_page_checksum=True,
    )
    raw = bytearray(path.read_bytes())
    offset = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    raw[offset + 30 : offset + 60] = b"\xff" * 30
    path.write_bytes(raw)
    items = listed(path)
    results = read(items)
    assert len(items) == 40
    assert results[:10] == [bytes([n]) * 5000 for n in range(10)]
    assert results[20:] == [bytes([n]) * 5000 for n in range(20, 40)]
    assert Reason.UNREADABLE in results[10:20]


def test_damage_in_the_small_columns_is_one_row_that_says_so(tmp_path):
    """A row group with unreadable labels gives one row with a count; the next is read."""
    path = tmp_path / "x.parquet"
    table = pa.table({"path": [f"{n}-{'x' * 50}.jpg" for n in range(40)]})
    pq.write_table(table, path, row_group_size=10, use_dictionary=False, compression="gzip")
    raw = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    at = column.data_page_offset
    raw[at + 40 : at + column.total_compressed_size] = bytes(column.total_compressed_size - 40)
    path.write_bytes(raw)
    items = listed(path)
    bad = [item for item in items if item.source_uri.endswith("#damaged")]
    assert len(bad) == 1
    assert bad[0].problem[1].startswith("10 rows are unreadable")
    assert len(items) == 31


def test_a_parquet_file_is_read_once_in_order(tmp_path, monkeypatch):
    """Rows requested roughly in order open the file once."""
    opened: list[str] = []
    original = parquet._open

    def counted(path):
        opened.append(path)
        return original(path)

    items = listed(shard(tmp_path / "x.parquet", rows_per_group=6))
    monkeypatch.setattr(parquet, "_open", counted)
    order = [1, 0, 3, 2, 5, 4]
    assert read([items[n] for n in order]) == [PICTURES[n] for n in order]
    assert len(opened) == 1


def test_a_table_that_is_gone_has_a_reason(tmp_path):
    """Lists and tables removed after listing give a reason."""
    table = shard(tmp_path / "x.parquet")
    lines = written(tmp_path / "x.jsonl", {"image": TEXT})
    items = [listed(table)[0], listed(lines)[0]]
    table.unlink()
    lines.unlink()
    assert read(items) == [Reason.NOT_FOUND, Reason.NOT_FOUND]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=12))
def test_any_lines_give_one_item_per_line(tmp_path_factory, lines):
    """Any lines after the first row give one item each."""
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    body = b'{"image": "a.jpg"}\n' + b"".join(line.replace(b"\n", b" ") + b"\n" for line in lines)
    path.write_bytes(body)
    items = listed(path)
    assert len(items) == sum(1 for line in body.split(b"\n") if line.strip())
    read(items)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_behind_a_header_gives_items(tmp_path_factory, text):
    """Listing and reading a CSV with any content raises nothing."""
    path = tmp_path_factory.mktemp("any") / "x.csv"
    path.write_text("path,label\n" + text, encoding="utf-8", errors="replace")
    read(listed(path))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_mutated_parquet_file_raises_input_errors_only(tmp_path_factory, changes):
    """Flipped bytes give items or an `InputError`, and no other error."""
    path = shard(tmp_path_factory.mktemp("any") / "x.parquet")
    raw = bytearray(path.read_bytes())
    for at, value in changes:
        raw[at % len(raw)] = value
    path.write_bytes(raw)
    try:
        items = listed(path)
    except InputError:
        return
    read(items)
