"""Lists and folders after public reports, where they lie beside this checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.data.sources.find import SourceOptions, find_items, read_item

CASES = Path(__file__).resolve().parents[5] / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the folder of cases is not here")


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        ("l01-csv-space/list.csv", ["fake", "real"]),
        ("l02-csv-windows/list.csv", ["fake", "real"]),
        ("l03-csv-excel/sep.csv", ["fake", "real"]),
        ("l03-csv-excel/bom-semicolon.csv", ["fake", "real"]),
        ("l04-label-case/list.csv", ["fake", "real"]),
        ("l05-label-values/list.csv", [*["fake", "real"] * 2, "fake", "fake", None, "real"]),
        ("l07-stray-quote/list.csv", ["real"] * 6),
        ("l08-txt-list/list.txt", [None, None]),
        ("l09-json-array/list.json", ["fake", "real"]),
        ("l10-compressed-list/list.csv.gz", ["fake"]),
        ("l11-csv-base64/list.csv", ["fake", "real"]),
        ("l11-csv-base64/list.jsonl", ["fake"]),
        ("l15-image-is-a-number/list.jsonl", ["fake", "real"]),
        ("l17-metadata-csv/train", ["fake", "real"]),
        ("p01-list-of-images/images.parquet", [None, None]),
        ("p04-spark-folder/images.parquet", ["fake", "real"]),
    ],
)
def test_every_row_is_a_picture_with_its_label(source, labels):
    """Every row is read with its label."""
    items = list(find_items([str(CASES / source)], SourceOptions()))
    assert [item.label for item in items] == labels
    assert all(read_item(item, SourceOptions()) for item in items)


def test_a_bad_shard_is_a_row_among_good_ones():
    """A damaged shard among those of a quoted pattern is one row."""
    items = list(find_items([str(CASES / "f03-shards" / "*.tar")], SourceOptions()))
    assert [item.problem is None for item in items] == [True, False, True]
