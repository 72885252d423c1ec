"""SQL over a lake: its tables and nothing else, with errors that name what there is."""

import re

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.data.errors import ConfigError, StoreError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.tasks.browse.query import describe_tables, query, table_names, telling
from assay.tasks.browse.query_text import draw_rows, draw_tables, tables_json


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Three images, of which one is flagged, and one rejected item."""
    return lakes.lake_of(
        tmp_path_factory.mktemp("query") / "lake",
        [
            Shot(name="a.jpg", prob=0.05, seed=1, label="real"),
            Shot(name="b.jpg", prob=0.1, seed=2, label="fake"),
            Shot(name="c.jpg", prob=0.99, seed=3),
        ],
        rejected=[("d.jpg", "truncated", "cut")],
    ).lake


def rows(lake, sql):
    """Rows of a statement as tuples."""
    return query(lake, sql).collect().rows()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select count(*) from images", [(3,)]),
        ("SELECT reason, detail FROM sightings WHERE status = 'rejected';", [("truncated", "cut")]),
        (
            "select decision, count(*) as n from current group by decision order by n desc",
            [("clear", 2), ("flag", 1)],
        ),
        (
            "with fakes as (select image_id from current where label = 'fake')"
            " select count(*) from scores join fakes on scores.image_id = fakes.image_id",
            [(1,)],
        ),
        ("select flow, status from runs", [("moderate", "completed")]),
        ("select count(*) from reviews", [(0,)]),
        ("select '''read'' a scan' as text from images limit 1", [("'read' a scan",)]),
    ],
)
def test_tables_are_queried(lake, sql, expected):
    """Joins, groups, common table expressions, and tables without rows."""
    assert rows(lake, sql) == expected


@pytest.mark.parametrize("table", [*TABLES, "current"])
def test_every_table_can_be_queried(lake, table):
    """With the columns that are described."""
    described = {name: [column for column, _, _ in parts] for name, _, parts in describe_tables()}
    assert query(lake, f"select * from {table}").collect_schema().names() == described[table]
    assert set(described) == set(table_names())


def test_bytes_of_images_are_no_column(lake):
    """Neither a table nor a column holds them."""
    for table in table_names():
        kinds = query(lake, f"select * from {table}").collect_schema().dtypes()
        assert pl.Binary not in kinds


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{file}')",
        "select * from READ_CSV('{file}')",
        "select * from \"read_csv\"('{file}')",
        "select * from `read_csv`('{file}')",
        "select * from read_csv /* a comment */ ('{file}')",
        "select * from images, read_parquet('{file}')",
        "select * from images where image_id in (select a from read_csv('{file}'))",
        "with x as (select * from read_json('{file}')) select * from x",
        "select * from images union all select * from read_ipc('{file}')",
        "select * from images join read_ndjson('{file}') on true",
        "select * from scan_parquet('{file}')",
    ],
)
def test_no_file_is_read(lake, tmp_path, sql):
    """However a function that reads files is written."""
    file = tmp_path / "secret.csv"
    file.write_text("a\nsecret\n")
    with pytest.raises(ConfigError, match="would read or write a file; only tables can be read"):
        query(lake, sql.format(file=file))


@pytest.mark.parametrize("function", ["read_csv", "read_parquet", "read_ipc", "read_json"])
def test_a_plan_that_scans_a_file_is_refused_by_itself(lake, tmp_path, monkeypatch, function):
    """Also where the text gave no hint: of tables without rows, a plan has no scan."""
    file = tmp_path / "x"
    frame = pl.DataFrame({"a": ["secret"]})
    {
        "read_csv": frame.write_csv,
        "read_parquet": frame.write_parquet,
        "read_ipc": frame.write_ipc,
        "read_json": frame.write_ndjson,
    }[function](file)
    sql = f"select * from {function}('{file}')"
    monkeypatch.setattr("assay.tasks.browse.query._FILES", re.compile("(?!)"))
    with pytest.raises(ConfigError, match="it reads data outside the tables of the lake"):
        query(lake, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "drop table images",
        "create table x as select * from images",
        "delete from images",
        "insert into images values (1)",
        "truncate table images",
        "copy images to '/tmp/x'",
        "attach 'x.db'",
        "show tables",
        "explain select * from images",
        "; select 1",
        "-- select\nselect 1",
    ],
)
def test_nothing_but_a_select_runs(lake, sql):
    """The message says what it begins with."""
    with pytest.raises(ConfigError, match=r"it begins with \S+; allowed: SELECT, WITH"):
        query(lake, sql)


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "the SQL is empty; give a SELECT statement, or --tables"),
        (" ; ", "the SQL is empty"),
        ("select * from imagess", "no table imagess; did you mean images.; tables: images, "),
        ("select * from nope", "no table nope; tables: images, .*, runs, current"),
        (
            "select prob_fak from scores",
            "no column prob_fak; did you mean prob_fake.; columns of scores: image_id, detector",
        ),
        ("select nope from images join runs on true", "columns of images: .*; columns of runs: "),
        ("select sum(image_id) from images", "sum"),
        ("select from", "cannot be run: sql parser error"),
        ("select 1; select 2", "one .* statement"),
        ("select nope(1) from images", "unsupported function 'nope'"),
        ("select " + "(" * 400 + "1" + ")" * 400, "recursion limit exceeded"),
        ("select '" + "x" * 20_000 + "'", "it has 20,009 characters, allowed are 10,000"),
    ],
)
def test_errors_name_what_there_is(lake, sql, says):
    """Tables and columns that exist, the nearest name, or what is wrong with the text."""
    with pytest.raises(ConfigError, match=says):
        query(lake, sql)


def test_what_cannot_be_computed_is_an_error_of_the_statement(lake):
    """A text that is no number shows when rows are read."""
    sql = "select cast(image_id as int) as n from images"
    with (
        pytest.raises(ConfigError, match="cannot be run: conversion from `str` to `i32` failed"),
        telling(lake, sql),
    ):
        query(lake, sql).collect()


def test_damage_is_no_error_of_the_statement(tmp_path):
    """A table whose file is cut off is told as such."""
    made = lakes.lake_of(tmp_path / "lake", [Shot(name="a.jpg")])
    (file,) = (tmp_path / "lake" / "tables" / "images").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:100])
    sql = "select count(phash) from images"
    with pytest.raises(StoreError, match="images"), telling(made.lake, sql):
        query(made.lake, sql).collect()


def test_rows_are_drawn_with_how_many_there_are():
    """Numbers flush, lists short, what is missing as a dash."""
    frame = pl.DataFrame(
        {
            "n": [1, 1000],
            "prob": [0.123456789, None],
            "list": [[0.5] * 384, []],
            "text": ["a", "b"],
        }
    )
    assert draw_rows(frame, 5, width=None).splitlines() == [
        "   n      prob  list                           text",
        "   1  0.123457  0.5, 0.5, 0.5, 0.5, ... (384)  a",
        "1000         -  -                              b",
        "2 of 5 rows; --limit shows more, --to FILE writes all",
    ]
    assert draw_rows(frame.head(1), 1, width=None).endswith("\n1 row")
    narrow = draw_rows(frame, 2, width=40).splitlines()
    assert narrow[0].split() == ["n", "prob", "text"]
    assert "list; --json prints all" in narrow[-2]


def test_tables_are_drawn_with_types_and_texts():
    """A block per table; on a narrow terminal, lines are cut."""
    drawn = draw_tables(width=None)
    assert "sightings: One row per item of a batch" in drawn
    assert "  prob_fake       float32          Sigmoid of the logit, in [0, 1]" in drawn
    assert drawn.count("\n\n") == len(table_names()) - 1
    assert max(map(len, draw_tables(width=60).splitlines()[1:8])) <= 60
    assert tables_json()["reviews"]["columns"][1]["name"] == "label"


def test_an_empty_lake_has_empty_tables(tmp_path):
    """No rows, and no error."""
    lake = Lake(tmp_path / "lake")
    assert rows(lake, "select * from current") == []
    assert rows(lake, "select count(*) from images") == [(0,)]
