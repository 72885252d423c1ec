"""The verbs that look through a lake, on an S3 server on loopback."""

import json

import lakes
import polars as pl
import pytest
from lakes import Shot
from s3_server import s3_server

from assay.flows.cli import main

LAKE = "s3://browsed/some/lake"


@pytest.fixture(scope="module")
def made():
    """Two images in a lake on S3, with a report of their run."""
    with s3_server("browsed"):
        made = lakes.lake_of(
            LAKE,  # type: ignore[arg-type]
            [Shot(name="a.jpg", prob=0.05, seed=1), Shot(name="b.jpg", prob=0.99, seed=2)],
        )
        made.lake.write(f"reports/{made.run_id}.html", b"<p>")
        yield made


def run(capsys, *arguments):
    """Stdout of a command that ends well."""
    main(arguments)
    return capsys.readouterr().out


def test_runs_have_the_address_of_their_report(made, capsys):
    """An s3:// URI."""
    (line,) = json.loads(run(capsys, "runs", "--lake", LAKE, "--json"))["runs"]
    assert line["report"] == f"{LAKE}/reports/{made.run_id}.html"


def test_images_are_listed_and_found(made, capsys):
    """By decision, and one by the end of its path."""
    told = json.loads(run(capsys, "ls", "--lake", LAKE, "--decision", "flag", "--json"))
    assert [row["image_id"] for row in told["images"]] == [made.ids["b.jpg"]]
    assert run(capsys, "show", "a.jpg", "--lake", LAKE).startswith(f"image {made.ids['a.jpg']}\n")


def test_rows_are_exported_and_queried(made, capsys, tmp_path):
    """To a file here."""
    file = tmp_path / "x.parquet"
    run(capsys, "export", "--lake", LAKE, "--to", str(file))
    assert pl.read_parquet(file)["image_id"].to_list() == sorted(made.ids.values())
    out = run(capsys, "query", "select count(*) as n from scores", "--lake", LAKE)
    assert out.splitlines()[:2] == ["n", "2"]
