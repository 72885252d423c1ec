"""The verbs that look through a lake, as a person and a program see them."""

import csv
import fcntl
import io
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.data.store.lake import Lake
from assay.flows.cli import main
from assay.tasks.browse.images import COLUMNS


def run(capsys, *arguments):
    """Exit code, stdout and stderr of a command."""
    try:
        main(arguments)
        code = 0
    except SystemExit as left:
        code = left.code or 0
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three images and one rejected item."""
    return lakes.lake_of(
        tmp_path_factory.mktemp("browse") / "lake",
        [
            Shot(name="a.jpg", prob=0.05, seed=1, label="real"),
            Shot(name="b.jpg", prob=0.9, seed=2, domain="art"),
            Shot(name="=c.jpg", prob=0.99, seed=3),
        ],
        rejected=[("d.jpg", "truncated", "cut")],
    )


def test_runs_are_listed(made, capsys):
    """A line for a person; one object for a program."""
    code, out, err = run(capsys, "runs", "--lake", made.lake.uri)
    assert (code, err) == (0, "")
    assert out.splitlines()[1].startswith(f"{made.run_id}  2026-03-01 12:00  moderate  completed")
    assert out.splitlines()[-1] == "1 run"
    told = json.loads(run(capsys, "runs", "--lake", made.lake.uri, "--json")[1])
    assert (told["total"], told["runs"][0]["images"], told["runs"][0]["rejected"]) == (1, 3, 1)


def test_images_are_listed(made, capsys):
    """Options that may be repeated, a range, an order and a limit."""
    lake = ("--lake", made.lake.uri)
    told = json.loads(
        run(capsys, "ls", *lake, "--decision", "flag", "--decision", "clear", "--json")[1]
    )
    assert told["total"] == 3
    chosen = ("--score", "0.5..", "--sort", "score", "--limit", "1")
    told = json.loads(run(capsys, "ls", *lake, *chosen, "--json")[1])
    assert (told["total"], [row["image_id"] for row in told["images"]]) == (
        2,
        [made.ids["=c.jpg"]],
    )
    out = run(capsys, "ls", *lake, "--domain", "art", "--run", "latest")[1]
    assert out.splitlines()[1].split()[0] == made.ids["b.jpg"][:12]
    assert out.splitlines()[2] == "1 image"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["ls", "--limit", "0"], 2, "Must be >= 1"),
        (["ls", "--decision", "flagged"], 2, "flagged"),
        (["ls", "--reason", "not_score"], 2, "did you mean not_scored?"),
        (["ls", "--score", "high"], 2, "allowed: a range within 0 and 1"),
        (["ls", "--since", "monday"], 2, "allowed: a span such as 7d, or a date"),
        (["ls", "--run", "nope"], 3, "no run nope in"),
        (["runs", "--limit", "none"], 2, "none"),
        (["export"], 2, "--to"),
        (["export", "--to", "x.txt"], 2, "x.txt ends in .txt; allowed: .csv, .parquet, .jsonl"),
        (["export", "--to", "x.csv", "--label", "unsure"], 2, "unsure"),
        (["query"], 2, "no SQL is given; give a SELECT statement, or --tables"),
        (["query", "select 1", "--format", "parquet"], 2, "needs a file; add --to FILE"),
        (["query", "select 1", "--to", "x"], 2, "x ends in nothing; allowed: .csv"),
        (["query", "select 1", "--to", "x.csv", "--format", "table"], 2, "is for stdout"),
        (["query", "select 1", "--json", "--format", "csv"], 2, "exclude each other"),
        (["query", "select * from nope"], 2, "tables: images, sightings"),
        (["query", "select * from read_csv('x')"], 2, "only tables can be read"),
        (["query", "select cast(image_id as int) from images"], 2, "conversion from `str`"),
    ],
)
def test_bad_options_are_refused(made, capsys, tmp_path, monkeypatch, arguments, code, says):
    """Each with the exit code of its kind, nothing on stdout, and no file."""
    monkeypatch.chdir(tmp_path)
    got, out, err = run(capsys, *arguments, "--lake", made.lake.uri)
    assert (got, out) == (code, "")
    assert says in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["ls", "runs"])
def test_an_empty_lake_says_what_to_do_next(tmp_path, capsys, verb):
    """A command that can be pasted; for a program, a total of none."""
    lake = Lake(tmp_path / "lake")
    code, out, _ = run(capsys, verb, "--lake", lake.uri)
    assert code == 0
    assert out.splitlines()[-1] == f"  assay moderate SOURCE --lake {lake.uri}"
    assert json.loads(run(capsys, verb, "--lake", lake.uri, "--json")[1])["total"] == 0


def test_a_query_prints_a_table(made, capsys):
    """Rows, and how many there are; a limit cuts what is shown."""
    sql = "select decision, count(*) as n from current group by decision order by n desc"
    code, out, err = run(capsys, "query", sql, "--lake", made.lake.uri, "--limit", "1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "decision  n",
        "flag      2",
        "1 of 2 rows; --limit shows more, --to FILE writes all",
    ]


def test_a_query_gives_data(made, capsys):
    """One object, CSV or JSON lines on stdout, each as its reader expects it."""
    sql = "select source_uri, prob_fake, -1 as n from current order by prob_fake"
    lake = ("--lake", made.lake.uri)
    told = json.loads(run(capsys, "query", sql, *lake, "--json")[1])
    assert (told["total"], told["rows"][0]["source_uri"]) == (3, "file:///pictures/a.jpg")
    out = run(capsys, "query", sql, *lake, "--format", "csv")[1]
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["source_uri", "prob_fake", "n"]
    assert rows[1] == ["file:///pictures/a.jpg", "0.05", "-1"]
    out = run(capsys, "query", sql, *lake, "--format", "jsonl")[1]
    assert [json.loads(line)["prob_fake"] for line in out.splitlines()] == [0.05, 0.9, 0.99]


def test_a_query_writes_a_file(made, capsys, tmp_path):
    """In the format of its name or the one that is named; never over a file unasked."""
    lake = ("--lake", made.lake.uri)
    sql = "select image_id from images"
    file = tmp_path / "x.parquet"
    code, out, _ = run(capsys, "query", sql, *lake, "--to", str(file))
    assert (code, out) == (0, f"written     {file}: 3 rows\n")
    assert sorted(pl.read_parquet(file)["image_id"]) == sorted(made.ids.values())
    assert run(capsys, "query", sql, *lake, "--to", str(file))[0] == 2
    told = run(capsys, "query", sql, *lake, "--to", str(file), "--overwrite", "--json")[1]
    assert json.loads(told)["rows"] == 3
    named = tmp_path / "rows"
    assert run(capsys, "query", sql, *lake, "--to", str(named), "--format", "csv")[0] == 0
    assert named.read_text().splitlines()[0] == '"image_id"'


def test_tables_are_listed_without_a_lake(tmp_path, capsys, monkeypatch):
    """With columns, types and texts."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, "query", "--tables")
    assert code == 0
    assert "decisions: One row per image, score key and policy" in out
    told = json.loads(run(capsys, "query", "--tables", "--json")[1])
    assert told["images"]["columns"][0]["name"] == "image_id"


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_images_are_exported(made, capsys, tmp_path, suffix):
    """All that fit, ordered by id, with the same columns in every format."""
    file = tmp_path / f"flagged.{suffix}"
    lake = ("--lake", made.lake.uri)
    code, out, _ = run(capsys, "export", "--decision", "flag", "--to", str(file), *lake)
    assert code == 0
    assert out.splitlines()[0] == f"written     {file}: 2 images"
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[suffix](file)
    assert read.columns == list(COLUMNS)
    assert read["image_id"].to_list() == sorted(made.ids[name] for name in ("b.jpg", "=c.jpg"))
    assert sorted(read["prob_fake"].cast(pl.Float32).round(2)) == [
        pytest.approx(0.9),
        pytest.approx(0.99),
    ]
    assert run(capsys, "export", "--to", str(file), *lake)[0] == 2
    told = run(capsys, "export", "--to", str(file), *lake, "--overwrite", "--json")[1]
    assert json.loads(told) == {
        "lake": made.lake.uri,
        "file": str(file),
        "format": suffix,
        "images": 3,
    }


def test_an_export_of_an_empty_lake_says_what_to_do_next(tmp_path, capsys):
    """The file has headings, and the command that fills the lake is told."""
    lake = Lake(tmp_path / "lake")
    file = tmp_path / "x.csv"
    out = run(capsys, "export", "--to", str(file), "--lake", lake.uri)[1]
    assert out.splitlines()[-1] == f"  assay moderate SOURCE --lake {lake.uri}"
    assert len(file.read_text().splitlines()) == 1


def test_a_terminal_gets_lines_that_fit_and_no_escape_code(tmp_path):
    """On 50 cells columns are hidden, and names of files steer nothing."""
    name = "file:///in/a/folder/with/a/long/name/\x1b[31mred\u202e.jpg"
    made = lakes.lake_of(tmp_path / "lake", [Shot(name=name, prob=0.99)])
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "assay", "ls", "--lake", made.lake.uri],
        stdout=theirs,
        env=environment,
        check=True,
        timeout=60,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert done.returncode == 0
    assert shown[0] == "image         decision  score  source"
    assert shown[1] == f"{made.ids[name][:12]}  flag      0.990  …name/�[31mred�.jpg"
    assert "hidden on this width: reasons, domain, label" in shown[2]
    assert not any("\x1b" in line or "\u202e" in line for line in shown)
    assert max(map(len, shown[:2])) <= 50


def test_a_lake_that_is_not_there_is_an_error(tmp_path, capsys):
    """With the exit code of the store."""
    code, _, err = run(capsys, "ls", "--lake", str(tmp_path / "none"))
    assert code == 4
    assert "there is no lake at" in err


@pytest.mark.parametrize("verb", ["show", "explain", "similar", "views"])
def test_every_verb_about_one_image_takes_the_same_names(made, capsys, verb, tmp_path, monkeypatch):
    """What no image is called is refused alike, with the command that lists them."""
    monkeypatch.chdir(tmp_path)
    name = ["cow.jpg", "--detector", "mini"] if verb in {"explain", "views"} else ["cow.jpg"]
    code, out, err = run(capsys, verb, *name, "--lake", made.lake.uri)
    assert (code, out) == (3, "")
    assert "has no image of that id or name" in err
    assert f"with: assay ls --lake {made.lake.uri}" in err


@pytest.mark.parametrize("verb", ["explain", "views"])
def test_a_file_that_is_not_there_is_named_where_there_is_no_lake(
    capsys, verb, tmp_path, monkeypatch
):
    """A misspelt path is no reason to speak of lakes alone."""
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, verb, "cow.jpg", "--detector", "mini")
    assert code == 4
    assert "there is no file 'cow.jpg'; there is no lake at" in err


@pytest.mark.parametrize("name", ["b.jpg", "file:///pictures/b.jpg", "{id}", "{file}"])
def test_an_image_is_shown_by_any_name(made, capsys, tmp_path, name):
    """Its path, its URI, its id, or a file with its bytes."""
    file = tmp_path / "x"
    file.write_bytes(made.lake.image(made.ids["b.jpg"]))
    filled = name.format(id=made.ids["b.jpg"][:8], file=file)
    code, out, err = run(capsys, "show", filled, "--lake", made.lake.uri)
    assert (code, err) == (0, "")
    assert out.startswith(f"image {made.ids['b.jpg']}\n")
