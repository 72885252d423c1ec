"""Rows as files: what goes in comes out, whole or not at all, and no cell is a formula."""

import csv
import io
import json
from datetime import UTC, datetime

import polars as pl
import pyarrow.parquet as pq
import pytest

from assay.data.errors import ConfigError, InputError
from assay.tasks.browse.row_file import (
    defused_csv,
    format_of,
    require_row_file,
    without_secrets,
    write_rows,
    writing,
)

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ROWS = pl.DataFrame(
    {
        "text": ["plain", "=1+1", 'a "b",\nc', "", None],
        "n": [1, -2, 3, None, 5],
        "prob": pl.Series([0.25, -0.5, 1.0, None, 0.1], dtype=pl.Float32),
        "reasons": [["a", "b"], ["=x"], [], None, ["c"]],
        "at": [AT, None, AT, AT, AT],
        "capture": [{"make": "=m"}, None, {"make": None}, {"make": "x"}, {"make": "y"}],
        "is_it": [True, False, None, True, True],
    }
)


def halves():
    """Yield the rows in two parts."""
    return [ROWS.head(2), ROWS.tail(3)]


def test_parquet_has_the_rows_as_they_are(tmp_path):
    """Types and values, for polars and for pyarrow."""
    file = tmp_path / "x.parquet"
    assert write_rows(file, halves(), ROWS.schema, kind="parquet") == 5
    assert pl.read_parquet(file).equals(ROWS)
    table = pq.read_table(file)
    assert table["text"].to_pylist() == ROWS["text"].to_list()
    assert table["reasons"].to_pylist() == ROWS["reasons"].to_list()


def test_json_lines_have_the_rows_as_they_are(tmp_path):
    """One object per line, with lists, objects, nulls and times in ISO 8601."""
    file = tmp_path / "x.jsonl"
    assert write_rows(file, halves(), ROWS.schema, kind="jsonl") == 5
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines[0] == {
        "text": "plain",
        "n": 1,
        "prob": 0.25,
        "reasons": ["a", "b"],
        "at": "2026-01-02T03:04:05.678901+00:00",
        "capture": {"make": "=m"},
        "is_it": True,
    }
    assert [line["text"] for line in lines] == ROWS["text"].to_list()


def test_csv_is_read_by_csv_and_by_polars(tmp_path):
    """One heading for all parts; lists are joined, structs are JSON, numbers stay numbers."""
    file = tmp_path / "x.csv"
    assert write_rows(file, halves(), ROWS.schema, kind="csv") == 5
    rows = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    assert rows[0] == {
        "text": "plain",
        "n": "1",
        "prob": "0.25",
        "reasons": "a;b",
        "at": "2026-01-02T03:04:05.678901Z",
        "capture": '{"make":"=m"}',
        "is_it": "true",
    }
    assert [row["text"] for row in rows] == ["plain", "'=1+1", 'a "b",\nc', "", ""]
    read = pl.read_csv(file, try_parse_dates=True)
    assert read["n"].to_list() == [1, -2, 3, None, 5]
    assert read["prob"].to_list() == [0.25, -0.5, 1.0, None, 0.1]
    assert read["text"].to_list()[3:] == ["", None]
    assert read["at"].to_list() == ROWS["at"].to_list()


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_no_rows_are_a_file_too(tmp_path, kind):
    """With the headings or the schema, where the format has them."""
    file = tmp_path / f"x.{kind}"
    assert write_rows(file, [], ROWS.schema, kind=kind) == 0
    if kind == "parquet":
        assert pl.read_parquet(file).schema == ROWS.schema
    else:
        expected = ",".join(f'"{name}"' for name in ROWS.columns) + "\n" if kind == "csv" else ""
        assert file.read_text() == expected


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"]
)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(sign):
    """In cells, in joined lists and in headings; anywhere else the sign stays as it is."""
    evil = f"{sign}cmd"
    frame = pl.DataFrame({evil: [evil, f"a{evil}"], "list": [[evil, "b"], ["a", evil]]})
    assert defused_csv(frame).to_dict(as_series=False) == {
        f"'{evil}": [f"'{evil}", f"a{evil}"],
        "list": [f"'{evil};b", f"a;{evil}"],
    }


def test_numbers_stay_numbers():
    """A negative number is no formula, in a column of numbers or in lists of them."""
    frame = pl.DataFrame({"n": [-1], "f": [-0.5], "l": [[-1, 2]], "raw": [b"\xff"]})
    assert defused_csv(frame).to_dict(as_series=False) == {
        "n": [-1],
        "f": [-0.5],
        "l": ["'-1;2"],
        "raw": ["ff"],
    }


def test_times_in_csv_name_their_zone():
    """Those with one are in UTC; one without a zone gets none."""
    frame = pl.DataFrame({"zoned": [AT], "bare": [AT.replace(tzinfo=None)], "day": [AT.date()]})
    frame = frame.with_columns(pl.col("zoned").dt.convert_time_zone("Europe/Helsinki"))
    out = io.BytesIO()
    with writing(out, frame.schema, "csv") as add:
        add(frame)
    assert out.getvalue().decode().splitlines()[1].split(",") == [
        '"2026-01-02T03:04:05.678901Z"',
        '"2026-01-02T03:04:05.678901"',
        '"2026-01-02"',
    ]


def test_lists_of_structs_are_json():
    """Whatever a query may give has a place in CSV."""
    frame = pl.DataFrame({"l": [[{"a": 1}, {"a": None}]]})
    (cell,) = defused_csv(frame)["l"]
    assert json.loads(cell) == {"l": [{"a": 1}, {"a": None}]}


def test_secrets_of_urls_are_left_out():
    """Rows of earlier versions may hold them; members of archives keep what tells them apart."""
    frame = pl.DataFrame(
        {
            "uri": [
                "https://me:pw@host.test/a.jpg?sig=abc",
                "https://host.test/a.jpg?sig=***#q=1f6a0c25d3b7e894",
                "zip:///a/x.zip!b.jpg#2",
                None,
            ],
            "n": [1, 2, 3, 4],
        }
    )
    assert without_secrets(frame)["uri"].to_list() == [
        "https://***@host.test/a.jpg?sig=***",
        "https://host.test/a.jpg?sig=***#q=1f6a0c25d3b7e894",
        "zip:///a/x.zip!b.jpg#2",
        None,
    ]


def test_a_file_that_fails_is_not_there(tmp_path):
    """Rows that cannot be read leave the file before as it was, and nothing beside it."""
    file = tmp_path / "x.csv"
    file.write_text("before")

    def broken():
        yield ROWS
        raise InputError("the lake is gone")

    with pytest.raises(InputError, match="the lake is gone"):
        write_rows(file, broken(), ROWS.schema, kind="csv")
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    """The message names the file and the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/x.csv: File exists"):
        write_rows(tmp_path / "file" / "x.csv", [ROWS], ROWS.schema, kind="csv")


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(tmp_path):
    """The message says how."""
    file = tmp_path / "x.csv"
    require_row_file(file, overwrite=False)
    file.write_text("before")
    with pytest.raises(ConfigError, match=r"x.csv is there already; .* or add --overwrite"):
        require_row_file(file, overwrite=False)
    require_row_file(file, overwrite=True)
    with pytest.raises(ConfigError, match="is a folder"):
        require_row_file(tmp_path, overwrite=True)


def test_the_name_of_a_file_tells_its_format(tmp_path):
    """In either case; another name is refused with those that are allowed."""
    names = ("a.csv", "a.CSV", "a.b.parquet", "a.jsonl", "a.ndjson")
    assert [format_of(tmp_path / name) for name in names] == [
        "csv", "csv", "parquet", "jsonl", "jsonl",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"x.jsonll ends in .jsonll; did you mean .jsonl\?"):
        format_of(tmp_path / "x.jsonll")
    with pytest.raises(ConfigError, match=r"ends in nothing; allowed: .csv, .parquet"):
        format_of(tmp_path / "x")


def test_rows_are_written_to_an_open_file_too():
    """As for stdout."""
    out = io.BytesIO()
    with writing(out, pl.Schema({"n": pl.Int64()}), "csv") as add:
        add(pl.DataFrame({"n": [1]}))
        add(pl.DataFrame({"n": [2]}))
    assert out.getvalue() == b'"n"\n1\n2\n'
