"""Lists as common tools write them: encodings, compression, quoting, JSON, Windows paths."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from listed_pictures import PICTURES, listed, read

from assay.data.errors import InputError
from assay.data.sources import packed
from assay.data.sources.find import Item, SourceOptions, find_items, kind_of
from assay.data.vocabulary import Reason

TEXTS = [base64.b64encode(raw).decode() for raw in PICTURES]


def put(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def inner(item: Item) -> str:
    return item.source_uri.rpartition("!")[2]


@pytest.mark.parametrize(
    "text",
    [
        "label, path\nfake, pics/0.jpg\nreal , pics/1.jpg \n",
        "path;label\r\npics\\0.jpg;fake\r\n.\\pics\\1.jpg;real\r\n",
        "sep=;\r\nPath;LABEL\r\npics/0.jpg;1.0\r\npics/1.jpg;FALSE\r\n",
        "path\tLabel\rpics/0.jpg\tTrue\rpics/1.jpg\t0.0",
        '"File_Name" , "label"\n"pics/0.jpg" ,"fake",\n\n"pics/1.jpg","real",\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_spreadsheets_and_windows_write_lists_that_are_read(folder, text, encoding):
    """Blanks around cells, backslashes, `sep=` lines, any line end, case and encoding are read."""
    items = listed(put(folder / "list.csv", text, encoding))
    assert read(items) == PICTURES[:2]
    assert [item.label for item in items] == ["fake", "real"]


def test_odd_lines_of_a_list_are_counted_in_the_log(folder, caplog):
    """Each kind of defect is logged once, with its count and first line."""
    path = put(folder / "list.csv", b'path,x\na,\xe9\nb,"c\nd,"\xfc\n')
    assert len(listed(path)) == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: not UTF-8, read as Windows-1252 (lines: 2, the first: 2)",
        f"{path}: quotes that are not closed, read as characters (lines: 2, the first: 3)",
    ]


def test_a_path_on_a_drive_is_told_as_such(folder):
    """A Windows path with a drive or share is reported as one of another machine."""
    items = listed(
        put(folder / "list.csv", "path\nC:\\pics\\0.jpg\nfile:///D:/0.jpg\n\\\\nas\\x\\0.jpg\n")
    )
    assert read(items) == [Reason.NOT_FOUND] * 3
    assert "C:: a Windows drive" in items[0].problem[1]
    assert "D:: a Windows drive" in items[1].problem[1]


def test_rows_that_are_not_utf8_are_read_all_the_same(folder):
    """Invalid UTF-8 is read as Windows-1252, and files with such names are found."""
    put(folder / "Zürich.jpg", PICTURES[0])
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(PICTURES[1])
    text = "path,domain\nZürich.jpg,Zürich\n".encode("cp1252")
    items = listed(put(folder / "list.csv", text + b"caf\xe9.jpg,\x93x\x94\npics/2.jpg,\xc3\xbc\n"))
    assert read(items) == PICTURES[:3]
    assert [item.domain for item in items] == ["Zürich", "“x”", "ü"]


def test_texts_of_parquet_that_are_not_utf8_cost_no_row(folder):
    """Latin-1 in labels, paths and other columns of Parquet costs no row."""
    (folder / os.fsdecode(b"caf\xe9.jpg")).write_bytes(PICTURES[1])
    texts = pa.array([b"pics/0.jpg", b"caf\xe9.jpg", b"pics/2.jpg"]).view(pa.string())
    domains = pa.array([b"a", b"Z\xfcrich", None]).view(pa.string())
    pq.write_table(pa.table({"path": texts, "domain": domains}), folder / "a.parquet")
    items = listed(folder / "a.parquet")
    assert read(items) == PICTURES[:3]
    assert [item.domain for item in items] == ["a", "Zürich", None]
    structs = pa.StructArray.from_arrays([pa.array(PICTURES[:3]), texts], names=["bytes", "path"])
    pq.write_table(pa.table({"image": structs}), folder / "b.parquet")
    assert read(listed(folder / "b.parquet")) == PICTURES[:3]


def test_half_characters_in_json_are_a_bad_row_and_no_more(folder):
    """A lone surrogate in a path or URL rejects the row; elsewhere it is replaced."""
    rows = [
        '{"url": "http://\\ud800.com/x"}',
        '{"path": "\\ud800.jpg"}',
        '{"path": "pics/0.jpg", "domain": "\\udfffx", "label": "\\ud800"}',
        '{"\\ud800": 1}',
    ]
    items = listed(put(folder / "list.jsonl", "\n".join(rows)))
    assert read(items) == [Reason.BAD_ROW, Reason.BAD_ROW, PICTURES[0], Reason.BAD_ROW]
    assert items[2].domain == "\ufffdx"
    for item in items:
        json.dumps([item.source_uri, item.note, item.problem], ensure_ascii=False).encode()


def test_a_stray_quote_is_told_and_hides_no_row(folder):
    """An unclosed quote is noted and hides no row; a path with a line break is rejected."""
    text = (
        'path,caption\npics/0.jpg,"17 inch\npics/1.jpg,two\n"pics/2\n.jpg",x\npics/3.jpg,"a\nb"\n'
    )
    items = listed(put(folder / "list.csv", text))
    assert [inner(item) for item in items] == ["0", "1", "2", "3", "4"]
    assert read(items) == [
        PICTURES[0],
        PICTURES[1],
        *[Reason.BAD_ROW, Reason.NOT_FOUND],
        PICTURES[3],
    ]
    assert items[0].note == "line 2 has a quote that is not closed"
    assert "line 4: 1 cell; the header has 2; line 4 has a quote" in items[2].problem[1]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_texts_with_line_breaks_are_no_stray_quotes(folder, order):
    """Texts with line breaks are read back, on either side of the path."""
    draw = random.Random(0)
    pieces = ["a", '"', ",", "\n", "; ", '17"', "hello, world", "\n\n", '"hi"', "\t", "é"]
    for _ in range(40):
        texts = ["".join(draw.choices(pieces, k=draw.randrange(6))) for _ in range(6)]
        rows = [("pics/0.jpg", text, draw.choice(["real", "fake"])) for text in texts]
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=draw.choice(",;\t"))
        for row in (("path", "caption", "label"), *rows):
            writer.writerow([row[at] for at in order])
        items = listed(put(folder / "list.csv", out.getvalue()))
        assert [item.label for item in items] == [row[2] for row in rows], out.getvalue()
        assert all(item.problem is None and item.note is None for item in items)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_a_stray_quote_hides_no_row_wherever_it_stands(folder, order):
    """An unclosed quote hides no row, also if a later quote could close it."""
    rows = [("path", "caption", "label")]
    rows += [(f"pics/{n % 4}.jpg", f"caption {n}", "real") for n in range(60)]
    rows[3] = ("pics/2.jpg", '"17 inch', "fake")
    rows[40] = ("pics/3.jpg", '19"', "fake")
    text = "".join(f"{','.join(row[at] for at in order)}\n" for row in rows)
    items = listed(put(folder / "list.csv", text))
    assert [item.label for item in items] == [row[2] for row in rows[1:]]
    assert [item.note for item in items if item.note] == ["line 4 has a quote that is not closed"]


def test_lines_of_text_are_a_list(folder):
    """Each line is one path or URL, with its commas, blanks and quotes."""
    put(folder / 'a, "b" .jpg', PICTURES[1])
    path = put(
        folder / "list.txt",
        f'\ufeffpics/0.jpg\r\n\r\na, "b" .jpg\nhttps://x.invalid/a.jpg\n{TEXTS[2]}\nno.jpg\n',
    )
    items = listed(path)
    assert [item.source_uri for item in items] == [f"txt://{path}!{n}" for n in range(5)]
    assert read(items[:2]) + read(items[3:]) == [*PICTURES[:3], Reason.NOT_FOUND]
    assert [
        item.label for item in listed(put(folder / "t.txt", "path\tlabel\npics/0.jpg\t1\n"))
    ] == ["fake"]
    assert read(listed(put(folder / "u.txt", "path\npics/3.jpg\n"))) == [PICTURES[3]]


def test_a_text_that_is_no_list_says_what_to_write(folder):
    """A text that is not a list is an error as a source, and a row or sidecar in a folder."""
    notes = put(folder / "notes.txt", "pictures of the summer\n")
    with pytest.raises(InputError, match=r"without paths or URLs.*write one per line"):
        listed(notes)
    put(folder / "pics" / "0.txt", "pics/1.jpg")
    put(folder / "pics" / "0.json", '{"label": "fake"}')
    shown = [notes, *sorted((folder / "pics").iterdir())]
    items = list(find_items([str(path) for path in shown], SourceOptions()))
    assert [item.source_uri.rpartition("/")[2] for item in items] == [
        "notes.txt",
        *(f"{number}.jpg" for number in range(6)),
    ]
    assert items[1].label == "fake"


@pytest.mark.parametrize(
    "text",
    [
        '[{"image": "pics/0.jpg", "label": "fake"}, {"image": "pics/1.jpg"}]',
        '\ufeff[\n  {"image": "pics/0.jpg",\n   "label": true},\n  {"image": "pics/1.jpg"}\n]\n',
        '{"image": "pics/0.jpg", "label": 1.0}{"image": "pics/1.jpg"}\n',
        '{\n "image": "pics/0.jpg",\n "Label": "FAKE"\n}\n{\n "image": "pics/1.jpg"\n}\n',
        '{"images": [{"file_name": "pics/0.jpg"}, {"file_name": "pics/1.jpg"}], "label": 1}',
        '["pics/0.jpg", "pics/1.jpg"]',
        '"pics/0.jpg"\n"pics/1.jpg"\n',
    ],
)
@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_json_is_read_whatever_holds_its_rows(folder, text, suffix):
    """Arrays, concatenated values, JSON Lines, wrapped values and plain paths are read."""
    items = listed(put(folder / f"list.{suffix}", text))
    assert read(items) == PICTURES[:2]
    assert items[0].source_uri.startswith(f"{suffix}://")
    assert items[0].label == (None if text.lstrip('["').startswith("pics") else "fake")


def test_damage_in_an_array_costs_its_row(folder):
    """Reading resumes at the next line that starts a row; a file that is not a list is an error."""
    text = (
        f'[{{"image": "{TEXTS[0]}"}},\n {{"image": oops}},\n {{"image": "pics/1.jpg", "n": NaN}},\n'
    )
    items = listed(put(folder / "list.json", text + '7, {"image": "pics/2.jpg"'))
    assert read(items) == [PICTURES[0], Reason.BAD_ROW, PICTURES[1], Reason.BAD_ROW, Reason.BAD_ROW]
    assert listed(put(folder / "list.json", "[]")) == []
    with pytest.raises(InputError, match=r'a JSON object.*such as the value of "rows"'):
        listed(put(folder / "list.json", '{"rows": [{"image": "pics/0.jpg"}]}'))


def test_the_column_of_pictures_is_found_by_name_and_type(folder):
    """A numeric column `image` is skipped for the next likely column."""
    rows = '{"image": 17, "file_name": "pics/0.jpg"}\n{"image": "18", "file_name": "pics/1.jpg"}\n'
    assert read(listed(put(folder / "a.jsonl", rows))) == PICTURES[:2]
    text = "image,file_name\n0017,pics/0.jpg\n0018,pics/1.jpg\n"
    assert read(listed(put(folder / "a.csv", text))) == PICTURES[:2]
    table = pa.table({"image": [1, 2], "path": ["a", "b"], "content": PICTURES[:2]})
    pq.write_table(table, folder / "a.parquet")
    assert read(listed(folder / "a.parquet")) == PICTURES[:2]
    assert read(listed(put(folder / "n.csv", "Id,Image Path\n1,pics/2.jpg\n"))) == [PICTURES[2]]
    structs = [{"Path": "x.jpg", "Data": PICTURES[3]}]
    pq.write_table(pa.table({"Image": structs}), folder / "c.parquet")
    assert read(listed(folder / "c.parquet")) == [PICTURES[3]]
    pq.write_table(pa.table({"id": [1], "thumb": PICTURES[:1]}), folder / "b.parquet")
    assert read(listed(folder / "b.parquet")) == PICTURES[:1]


def test_names_that_differ_by_case_only_are_refused(folder):
    """Names that differ by case only are refused in a header, a schema or a JSON row."""
    for name, text in (("a.csv", "path,Path\nx,y\n"), ("b.csv", "path,label,LABEL\nx,0,1\n")):
        with pytest.raises(InputError, match="differ at most by case"):
            listed(put(folder / name, text))
    pq.write_table(pa.table({"path": ["x"], "label": [0], "Label": [1]}), folder / "a.parquet")
    with pytest.raises(InputError, match="differ at most by case"):
        listed(folder / "a.parquet")
    rows = '{"path": "pics/0.jpg", "label": 0, "Label": 1}\n{"path": "a", "Path": "b"}\n'
    first, second = listed(put(folder / "a.jsonl", rows))
    assert (first.label, first.note) == (None, "keys that differ by case only: label, Label")
    assert second.problem[0] is Reason.BAD_ROW
    (item,) = listed(
        put(folder / "c.csv", "path,label,Label\npics/0.jpg,0,1\n"), label_from="column:Label"
    )
    assert item.label == "fake"


PACKERS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda raw: pa.compress(raw, "zstd", asbytes=True),
}


@pytest.mark.parametrize("suffix", PACKERS)
def test_packed_lists_are_unpacked(folder, suffix):
    """Compressed lists are detected by suffix or first bytes, and images in them are read again."""
    pack = PACKERS[suffix]
    rows = f'{{"image": "pics/0.jpg"}}\n{{"image": "{TEXTS[1]}"}}\n'
    for name, text in (
        (f"list.csv.{suffix}", f"image\npics/0.jpg\n{TEXTS[1]}\n"),
        (f"list.jsonl.{suffix}", rows),
        (f"list.txt.{suffix}", f"pics/0.jpg\n{TEXTS[1]}\n"),
        (f"unnamed.{suffix}", rows),
    ):
        path = put(folder / name, pack(text.encode("utf-16" if "csv" in name else "utf-8")))
        assert read(listed(path)) == PICTURES[:2], name


def test_a_list_that_unpacks_without_end_stops_with_a_row(folder, monkeypatch):
    """Excessive expansion and an early end give one row; earlier rows are kept."""
    monkeypatch.setattr(packed, "CREDIT_BYTES", 2**17)
    rows = b"path\npics/0.jpg\n" + b"pics/none.jpg\n" * 20_000
    path = put(folder / "list.csv.gz", gzip.compress(rows, 1))
    items = listed(path)
    assert read(items[:1]) == PICTURES[:1]
    assert items[-1].problem[0] is Reason.TOO_MANY_BYTES
    assert (
        f"the list cannot be read after {len(items) - 1:,} rows: it unpacks to more than"
        in items[-1].problem[1]
    )
    put(path, gzip.compress(b"path\npics/0.jpg\n" + os.urandom(9_000).hex().encode())[:-900])
    items = listed(path)
    assert read(items[:1]) == PICTURES[:1]
    assert items[-1].source_uri.endswith("!#damaged-after-1")


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.parquet", "list.txt"])
def test_pictures_in_rows_work_in_every_kind_of_list(folder, name):
    """Base64, URL-safe or wrapped, and data: URIs are read in every kind of list."""
    wrapped = "\n".join(TEXTS[1][at : at + 76] for at in range(0, len(TEXTS[1]), 76))
    url_safe = TEXTS[2].replace("+", "-").replace("/", "_").rstrip("=")
    cells = [TEXTS[0], wrapped, url_safe, f"data:image/jpeg;base64,{TEXTS[3]}"]
    path = folder / name
    if name.endswith("csv"):
        put(path, 'image_base64,label\n{},1\n"{}",1\n{},1\n{},1\n'.format(*cells))
    elif name.endswith("jsonl"):
        put(path, "".join(f"{json.dumps({'image_base64': cell, 'label': 1})}\n" for cell in cells))
    elif name.endswith("parquet"):
        pq.write_table(pa.table({"image_base64": cells, "label": [1] * 4}), path)
    else:
        put(path, "pics/none.jpg\n" + "\n".join(cell.replace("\n", "") for cell in cells))
    items = listed(path)[-4:]
    assert read(items) == PICTURES[:4]
    assert [item.label for item in items] == [None if name == "list.txt" else "fake"] * 4


@pytest.mark.parametrize("kind", ["struct", "binary", "text"])
def test_each_picture_of_a_list_is_an_item(folder, kind):
    """A row with a list of images gives one item each; an empty list is rejected."""
    cells = {
        "struct": [{"bytes": raw, "path": None} for raw in PICTURES[:4]],
        "binary": PICTURES[:4],
        "text": [f"pics/{n}.jpg" for n in range(4)],
    }[kind]
    inner_kind = {
        "struct": pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        "binary": pa.large_binary(),
        "text": pa.string(),
    }[kind]
    lists = pa.array([cells[:3], [], None, cells[3:]], pa.list_(inner_kind))
    pq.write_table(pa.table({"images": lists, "label": [1, 1, 1, 0]}), folder / "x.parquet")
    items = listed(folder / "x.parquet")
    assert [inner(item) for item in items] == ["0/0", "0/1", "0/2", "1", "2", "3/0"]
    assert read(items) == [*PICTURES[:3], Reason.BAD_ROW, Reason.BAD_ROW, PICTURES[3]]
    assert [item.label for item in items] == [*["fake"] * 5, "real"]


def test_numbers_are_labels_as_numpy_writes_them(folder):
    text = (
        "path,label\n" + "".join(f"pics/0.jpg,{x:.18e}\n" for x in (0, 1, 2)) + "pics/0.jpg,1e1\n"
    )
    items = listed(put(folder / "a.csv", text))
    assert [item.label for item in items] == ["real", "fake", None, None]


def test_the_same_value_means_the_same_in_every_kind_of_list(folder):
    """A value spells the same label in every file format; NaN and blanks spell none."""
    values = [0, 1, 1.0, True, False, " Fake ", "AI-generated", None, float("nan"), "sparrow"]
    labels = ["real", "fake", "fake", "fake", "real", "fake", "fake", None, None, None]
    rows = [{"path": "pics/0.jpg", "label": value} for value in values]
    put(folder / "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    cells = ["" if value is None else str(value) for value in values]
    put(folder / "a.csv", "path,label\n" + "".join(f"pics/0.jpg,{cell}\n" for cell in cells))
    pq.write_table(pa.table({"path": ["pics/0.jpg"] * 10, "label": cells}), folder / "a.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        items = listed(folder / name)
        assert [item.label for item in items] == labels, name
        assert [item.note for item in items] == [*[None] * 9, "label not known: sparrow"], name


def test_shards_of_a_pattern_that_cannot_be_read_are_rows(folder):
    """An unreadable SOURCE stops the run; an unreadable file of a pattern is a row."""
    put(folder / "0.csv", "path\npics/0.jpg\n")
    put(folder / "1.csv", "a,b\n1,2\n")
    put(folder / "2.parquet", b"PAR1 broken")
    put(folder / "3.tar", b"no archive")
    put(folder / "4.7z", b"7z\xbc\xaf\x27\x1c" + bytes(20))
    put(folder / "5.csv", "path\npics/1.jpg\n")
    items = listed(folder / "[0-9].*")
    assert read(items) == [PICTURES[0], *[Reason.UNREADABLE] * 4, PICTURES[1]]
    assert items[1].source_uri == (folder / "1.csv").as_uri()
    with pytest.raises(InputError, match="no column that looks like images"):
        listed(folder / "1.csv")


def test_files_that_are_no_lists_say_what_they_are(folder):
    """Images, NUL bytes, empty files and other compressed files named as lists are refused."""
    for name, content, message in (
        ("a.csv", PICTURES[0], "not a list but JPEG"),
        ("b.jsonl", b"\x01\x02\x03\x00" * 50, "not text"),
        ("c.csv", b"", "is empty"),
        ("d.csv", "path,x\n".encode("utf-16-le"), "not text"),
        ("h.xlsx", b"PK\3\4" + bytes(30), "a spreadsheet.* save it as CSV or Parquet"),
        ("e.gz", gzip.compress(b"a letter"), "neither a TAR archive nor a list"),
    ):
        with pytest.raises(InputError, match=message):
            listed(put(folder / name, content))
    assert listed(put(folder / "f.csv", "path,label\n")) == []
    assert kind_of(str(put(folder / "g.json", "[]"))) == "json"


@pytest.mark.parametrize("name", ["list.csv", "list.jsonl", "list.parquet", "list.txt"])
def test_long_names_without_a_suffix_are_paths_and_stop_no_list(folder, name):
    """Long names such as hexadecimal hashes are paths, although they look like base64."""
    names = [("0123456789abcdef" * 5)[:length] for length in (64, 65, 66, 67, 80)]
    for number, long in enumerate(names[:4]):
        put(folder / long, PICTURES[number])
    rows = [*names, "pics/0.jpg"]
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.table({"image": [{"path": row} for row in rows]}), path)
    elif name.endswith(".jsonl"):
        put(path, "".join(json.dumps({"image": row}) + "\n" for row in rows))
    else:
        head = "image\n" if name.endswith(".csv") else "pics/0.jpg\n"
        put(path, head + "\n".join(rows))
    found = read(listed(path))[-len(rows) :]
    assert found == [*PICTURES[:4], Reason.NOT_FOUND, PICTURES[0]]


def test_addresses_of_data_and_marks_count_however_lists_were_put_together(folder):
    """Upper-case DATA: URIs, bare base64 lines and inner byte order marks are read."""
    data = f"image,label\nDATA:IMAGE/JPEG;BASE64,{TEXTS[0]},real\n"
    assert read(listed(put(folder / "data.csv", data))) == PICTURES[:1]
    assert read(listed(put(folder / "lines.txt", "\n".join(TEXTS)))) == PICTURES
    lines = "\n".join(f"data:application/octet-stream;base64,{text}" for text in TEXTS)
    assert read(listed(put(folder / "data.txt", lines))) == PICTURES
    joined = put(folder / "joined.csv", "\ufeff\ufeffimage\npics/0.jpg\n\ufeffpics/1.jpg\n")
    assert read(listed(joined)) == PICTURES[:2]
    tiny = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    found = read(listed(put(folder / "tiny.csv", f"image\n{tiny}\n")))
    assert found == [base64.b64decode(tiny)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_millions_of_empty_lines_take_no_time(folder, end):
    """Empty lines are counted for line numbers, in little time."""
    text = f"image{end}pics/0.jpg{end}" + end * 4_000_000 + f"pics/1.jpg,1{end}pics/2.jpg"
    path = put(folder / "list.csv.gz", gzip.compress(text.encode(), 1))
    began = time.process_time()
    items = listed(path)
    assert time.process_time() - began < 2
    assert read(items) == [PICTURES[0], Reason.BAD_ROW, PICTURES[2]]
    assert "line 4000003: 2 cells" in items[1].problem[1]
