"""Exports: every image that matches, once, in order, however many parts are read."""

import json

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.tasks.browse.export import export_images
from assay.tasks.browse.filters import Filters
from assay.tasks.browse.images import COLUMNS, pinned, scope_of


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six images, of which the even ones are flagged."""
    shots = [
        Shot(name=f"{n}.jpg", seed=n, prob=0.05 if n % 2 else 0.95, label="real") for n in range(6)
    ]
    return lakes.lake_of(tmp_path_factory.mktemp("export") / "lake", shots)


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 100])
@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_parts_make_one_file(made, tmp_path, kind, rows_at_a_time):
    """Headings and schema stand once; ids are in order; nothing is lost between parts."""
    file = tmp_path / f"x.{kind}"
    done = export_images(
        made.lake,
        scope_of(made.lake),
        Filters(decisions=("flag",)),
        file,
        kind=kind,
        rows_at_a_time=rows_at_a_time,
    )
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet, "jsonl": pl.read_ndjson}[kind](file)
    assert read["image_id"].to_list() == sorted(made.ids[f"{n}.jpg"] for n in (0, 2, 4))
    assert read.columns == list(COLUMNS)
    assert set(read["label"]) == {"real"}
    assert done.to_json() == {"file": str(file), "format": kind, "images": 3}


def test_a_file_has_the_reasons_of_each_decision(made, tmp_path):
    """A list in JSON lines and Parquet, joined in CSV."""
    scope = scope_of(made.lake)
    clear = Filters(decisions=("clear",))
    for kind in ("csv", "jsonl"):
        export_images(made.lake, scope, clear, tmp_path / kind, kind=kind)
    reasons = json.loads((tmp_path / "jsonl").read_text().splitlines()[0])["reasons"]
    assert reasons[0] == "below_review_threshold"
    assert pl.read_csv(tmp_path / "csv")["reasons"][0] == ";".join(reasons)


def test_rows_that_come_meanwhile_are_not_in_the_file(made, tmp_path):
    """All parts are read at the versions of the beginning."""
    own = lakes.lake_of(tmp_path / "lake", [Shot(name="a.jpg")])
    scope = pinned(own.lake, scope_of(own.lake))
    rows = own.lake.scan("images").collect().with_columns(image_id=pl.lit("f" * 64))
    assert own.lake.append("images", rows, txn="later")
    for known, images in ((scope, 1), (scope_of(own.lake), 2)):
        done = export_images(own.lake, known, Filters(), tmp_path / "x.csv", kind="csv")
        assert done.images == images
