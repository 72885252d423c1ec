"""Rows of the lake: which are accepted, and the types they are read with."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from lake_rows import NOW, ids, image_row, review, score, store_images

from assay.data.errors import StoreError
from assay.data.schema import TABLES
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardPlace
from assay.data.vocabulary import Decision, Label


@pytest.mark.parametrize("table", TABLES)
def test_every_table_reads_empty_with_its_own_types(lake: Lake, table: str) -> None:
    """An empty or missing table is read with the schema's names and types."""
    wanted = pl.Schema(pl.from_arrow(TABLES[table].empty_table()).schema)
    assert lake.version(table) is None
    assert lake.scan(table).collect_schema() == wanted
    assert lake.scan(table).collect().is_empty()


def test_rows_come_back_with_exact_types(lake: Lake) -> None:
    """Enums are text, embeddings lists of float32, times UTC in microseconds."""
    row = score(embedding=np.array([0.1, 0.2], np.float32), logit=np.float32(0.1))
    lake.append("scores", [row, score("b", embedding=None, logit=None)], txn="t")
    found = lake.scan("scores").sort("image_id").collect()
    assert found.schema == pl.Schema(pl.from_arrow(TABLES["scores"].empty_table()).schema)
    assert found["embedding"].to_list() == [[np.float32(0.1), np.float32(0.2)], None]
    assert found["logit"][0] == np.float32(0.1)
    assert found["scored_at"].to_list() == [NOW, NOW]
    lake.append("reviews", [review(label=Label.LAUNDERED)], txn="t")
    assert lake.scan("reviews").collect()["label"].to_list() == ["laundered"]


def test_structs_and_lists_come_back(lake: Lake) -> None:
    """A capture with a null, no capture, and a list of enums are read back."""
    camera = {"make": "Canon", "model": None, "software": "x"}
    [one, two] = store_images(lake, b"1", b"2")
    lake.append("images", [image_row(one, capture=camera), image_row(two)], txn="more")
    captures = lake.scan("images", version=2).collect()["capture"].to_list()
    assert camera in captures
    decision = {
        "image_id": "a",
        "detector": "d",
        "weights_sha256": None,
        "profile": None,
        "precision": None,
        "policy_id": "p",
        "calibration_id": None,
        "prob_calibrated": None,
        "decision": Decision.FLAG,
        "reasons": [],
        "p_real": None,
        "group_id": None,
        "run_id": "r",
        "decided_at": NOW,
        "inputs_sha256": None,
        "log_index": None,
        "previous_sha256": None,
    }
    lake.append("decisions", [decision, decision | {"reasons": ["x"]}], txn="t")
    assert sorted(lake.scan("decisions").collect()["reasons"].to_list()) == [[], ["x"]]


def test_arrow_and_polars_rows_are_taken_too(lake: Lake) -> None:
    """Any column order and any integer width that fits are accepted."""
    frame = pl.DataFrame([review("polars")]).with_columns(
        pl.col("note").cast(pl.String), label=pl.col("label").cast(pl.Categorical)
    )
    lake.append("reviews", frame.select(sorted(frame.columns)), txn="polars")
    lake.append("reviews", pa.Table.from_pylist([review("arrow", label="real")]), txn="arrow")
    assert ids(lake) == ["arrow", "polars"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([review(extra=1)], "reviews has no column 'extra'"),
        ([{k: v for k, v in review().items() if k != "note"}], "reviews.note is missing"),
        ([review(), review() | {"x": 1}], "reviews row 1 has other columns than row 0: x"),
        ([review(label=None)], "reviews.label is null in 1 row"),
        ([review(label=3)], "reviews.label is int64; it must be string"),
        ([review(label=b"real")], "reviews.label is binary; it must be string"),
        ([review(label="a"), review(label=1)], "reviews.label has values of several types"),
        ([review(reviewed_at="2026")], "reviews.reviewed_at is string"),
        ([review(reviewed_at=5)], "reviews.reviewed_at is int64"),
        ([review(reviewed_at=NOW.replace(tzinfo=None))], "is a time without a zone"),
    ],
)
def test_rows_that_do_not_fit_are_refused(
    lake: Lake, rows: list[dict[str, Any]], message: str
) -> None:
    """The error names table and column, and nothing is written."""
    with pytest.raises(StoreError, match=message.replace("[", r"\[")):
        lake.append("reviews", rows, txn="t")
    assert lake.version("reviews") is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"logit": "1.5"}, "scores.logit is string; it must be float"),
        ({"logit": True}, "scores.logit is bool"),
        ({"embedding": ["x"]}, r"scores.embedding\[\] is string"),
        ({"embedding": [1.0, None]}, "scores.embedding has a list with a null"),
        ({"embedding": 1.0}, "scores.embedding is double"),
    ],
)
def test_numbers_and_lists_are_checked(lake: Lake, changes: dict[str, Any], message: str) -> None:
    """Values that Arrow would convert with loss are refused."""
    with pytest.raises(StoreError, match=message):
        lake.append("scores", [score(**changes)], txn="t")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width_px": 1.5}, "images.width_px is double; it must be int32"),
        ({"width_px": 2**40}, "images.width_px does not fit int32"),
        ({"capture": {"make": "x", "lens": "y"}}, "images.capture has no field 'lens'"),
        ({"capture": {"make": 3}}, "images.capture.make is int64"),
    ],
)
def test_sizes_and_structs_are_checked(lake: Lake, changes: dict[str, Any], message: str) -> None:
    """Fractional pixels, overflow and unknown fields of a struct are refused."""
    place = ShardPlace(image_id="a", shard="s", row_group=0, row=0)
    with pytest.raises(StoreError, match=message):
        lake.append("images", [image_row(place, **changes)], txn="t")


def test_an_unknown_table_is_refused(lake: Lake) -> None:
    """Scan, append and version refuse an unknown table and list the known ones."""
    for use in (
        lambda: lake.scan("picture"),
        lambda: lake.version("picture"),
        lambda: lake.append("picture", [{}], txn="t"),
    ):
        with pytest.raises(StoreError, match="no table 'picture'; allowed: images"):
            use()
