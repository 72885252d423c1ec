from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.data.sources.lists.delimited import (
    Line,
    RowTests,
    Table,
    open_table,
    read_table,
    split_line,
    split_record,
)
from assay.data.text.unicode import decode_text, split_lines, valid_text


def table_of(text: str, **options) -> Table:
    table = read_table(text, **options)
    assert table is not None
    return table


def cells_of(text: str, **options) -> list[list[str]]:
    return [record.cells for record in table_of(text, **options).records]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_is_read_back(rows, delimiter):
    """Quoted delimiters, quotes and line breaks are read back unchanged."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([list("abc"), *rows])
    assert cells_of(out.getvalue(), delimiter=delimiter) == rows


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('a,"b, c",d', ["a", "b, c", "d"]),
        ('a, "b, c" ,d', ["a", "b, c", "d"]),
        ('a,5" screen,d', ["a", '5" screen', "d"]),
        ('a,"17" monitor",d', ["a", '17" monitor', "d"]),
        ('a,"17 inch,d', ["a", '"17 inch', "d"]),
        ('"a, b","17 inch,"c"', ["a, b", '"17 inch', "c"]),
        ('a,"say ""hi""",', ["a", 'say "hi"', ""]),
        ('"",""', ["", ""]),
        ('"', ['"']),
        ("", [""]),
        ("data:image/png;base64,AAA=,real", ["data:image/png;base64,AAA=", "real"]),
        ("x,data:image/png;base64,AAA=", ["x", "data:image/png;base64,AAA="]),
    ],
)
def test_quotes_open_and_close_only_at_the_edges_of_a_cell(line, cells):
    """A quote elsewhere, or one that is never closed, is a character."""
    assert split_line(line, ",", n_cells=len(cells)) == cells
    assert split_record([line], ",", len(cells)) == cells


def test_a_stray_quote_costs_no_line():
    """Rows after an unclosed quote are rows, and the row with the quote has a note."""
    rows = [f"{n}.jpg,caption {n},real" for n in range(1000)]
    rows[2] = '2.jpg,"17 inch screen,real'
    records = list(table_of("\n".join(["path,caption,label", *rows])).records)
    assert [record.cells[0] for record in records] == [f"{n}.jpg" for n in range(1000)]
    assert [record.note for record in records if record.note] == [
        "line 4 has a quote that is not closed"
    ]
    rows[990] = '990.jpg,19",real'
    assert len(cells_of("\n".join(["path,caption,label", *rows]))) == 1000


def test_a_quoted_cell_may_hold_lines_but_no_rows():
    """A line that is certainly a row ends an open quote."""
    tests = RowTests(
        is_row=lambda cells: cells[0].endswith(".jpg"),
        is_whole=lambda cells: "\n" not in cells[0],
    )
    text = 'path,caption\na.jpg,"one, two\nthree, four"\nb.jpg,"five\nc.jpg,six"\n"d.jpg\ne",x\n'
    table = open_table(map(Line, text.splitlines()), tests_of=lambda _names: tests)
    assert table is not None
    found = [(record.line, record.n_lines, record.cells) for record in table.records]
    assert found == [
        (2, 2, ["a.jpg", "one, two\nthree, four"]),
        (4, 1, ["b.jpg", '"five']),
        (5, 1, ["c.jpg", 'six"']),
        (6, 1, ['"d.jpg']),
        (7, 1, ['e"', "x"]),
    ]


@settings(deadline=None)
@given(st.text(st.sampled_from('a," \n;'), max_size=60))
def test_every_line_that_is_not_blank_is_in_one_record(text):
    """With any quotes, the records contain the lines of the text in order."""
    lines = list(split_lines(f"x,y\n{text}"))
    numbers = [
        number
        for record in table_of(f"x,y\n{text}").records
        for number in range(record.line, record.line + record.n_lines)
    ]
    assert numbers == sorted(set(numbers))
    blank = set(range(2, len(lines) + 1)) - set(numbers)
    assert all(not lines[number - 1].strip() for number in blank)


def test_a_file_of_stray_quotes_takes_time_in_proportion():
    """The search for closing quotes is bounded over all lines together."""
    assert len(cells_of("x\n" + '"a b\n' * 10_000)) == 10_000


@pytest.mark.parametrize(
    ("text", "delimiter", "names"),
    [
        ("sep=;\r\npath;label\r\n", ";", ["path", "label"]),
        ('"path";"label, or class"\n', ";", ["path", "label, or class"]),
        ("\n\npath\tlabel\n", "\t", ["path", "label"]),
        ("path", ",", ["path"]),
        (" a | b,c | d\n", "|", ["a", "b,c", "d"]),
    ],
)
def test_the_delimiter_is_found(text, delimiter, names):
    """The delimiter is taken from Excel's `sep=` line, or detected in the header."""
    table = table_of(text)
    assert (table.delimiter, table.names) == (delimiter, names)
    assert list(table.records) == []


def test_a_text_without_lines_is_no_table():
    """Empty text, blank lines and a lone `sep=` line give no table."""
    assert read_table("") is read_table("\n \n") is read_table("sep=;\n") is None


def test_lines_end_where_files_end_them():
    """LF, CR LF and CR end lines; form feeds and U+2028 do not."""
    assert list(split_lines("a\rb\r\nc\n\nd\u2028e\x0cf\x85g")) == [
        *("a", "b", "c", "", "d\u2028e\x0cf\x85g"),
    ]
    assert cells_of("x,y\ra,b\u2028c\rd,e") == [["a", "b\u2028c"], ["d", "e"]]
    assert cells_of('x\n"a"b\n', is_quoted=False) == [['"a"b']]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1"]
)
def test_text_of_common_encodings_is_decoded(encoding):
    """Byte order marks select UTF-16 and UTF-32; invalid UTF-8 is Windows-1252."""
    assert decode_text("Zürich\n".encode(encoding)) == "Zürich\n"


def test_bytes_that_are_no_text_are_refused_and_escapes_are_mended():
    """NUL bytes are refused; lone surrogates are replaced."""
    with pytest.raises(ValueError, match="NUL or other"):
        decode_text(b"PK\x03\x04\0\0")
    assert decode_text("caf\xe9 für".encode("latin-1") + "ü".encode()) == "café fürü"
    assert valid_text("a\udce9\udc80\udc81\ud800b") == "aé€\x81\ufffdb"
