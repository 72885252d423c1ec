"""A label or domain from a source stands until the source gives another one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from ingesting import ingest, picture, put

from assay.data.errors import ConfigError
from assay.data.sources.find import SourceOptions
from assay.data.store.lake import Lake
from assay.tasks.labels import best_labels
from assay.tasks.latest_rows import latest_sightings

LABELLED = SourceOptions(label_from="parent-folder", domain="ads")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return put(
        tmp_path / "pics",
        {f"{kind}/{n}.png": picture(n) for n, kind in enumerate(("real", "fake", "other"))},
    )


def said_of(lake: Lake) -> dict[str, tuple[str | None, str | None]]:
    """Return the current label and domain by file name."""
    labels = best_labels(*(lake.scan(table) for table in ("reviews", "synthetics", "sightings")))
    rows = (
        latest_sightings(lake)
        .join(labels, on="image_id", how="left")
        .select("source_uri", pl.col("label_right"), "domain")
        .collect()
    )
    return {uri.rpartition("/")[2]: (label, domain) for uri, label, domain in rows.iter_rows()}


def test_a_sighting_without_a_label_takes_none_back(tmp_path: Path, pictures: Path) -> None:
    """A sighting without a label or domain withdraws none, in any batch."""
    lake = Lake(tmp_path / "lake")
    ingest(lake, pictures, options=LABELLED)
    known = {"0.png": ("real", "ads"), "1.png": ("fake", "ads"), "2.png": (None, "ads")}
    assert said_of(lake) == known
    assert ingest(lake, pictures, run_id="run-2").unchanged == 3
    assert said_of(lake) == known
    ingest(lake, pictures, run_id="run-3", batch_id="b-2")
    (pictures / "real" / "0.png").touch()
    ingest(lake, pictures, run_id="run-4")
    assert said_of(lake) == known


def test_rows_of_earlier_versions_take_no_label_back(tmp_path: Path, pictures: Path) -> None:
    """A row without a label after one with a label, as in older lakes, withdraws nothing."""
    lake = Lake(tmp_path / "lake")
    ingest(lake, pictures, options=LABELLED)
    rows = lake.scan("sightings").collect()
    later = rows.with_columns(
        pl.lit(None, pl.String).alias("label"),
        pl.lit(None, pl.String).alias("domain"),
        pl.col("seen_at").dt.offset_by("1d"),
    )
    lake.append("sightings", later, txn="later")
    assert said_of(lake)["0.png"] == ("real", "ads")


def test_labels_and_domains_are_withdrawn_on_request(tmp_path: Path, pictures: Path) -> None:
    """`none` withdraws; another label or domain replaces."""
    lake = Lake(tmp_path / "lake")
    ingest(lake, pictures, options=LABELLED)
    withdraw = SourceOptions(label_from="none", domain_from="none")
    ingest(lake, pictures, run_id="run-2", options=withdraw)
    assert set(said_of(lake).values()) == {(None, None)}
    assert ingest(lake, pictures, run_id="run-3", options=withdraw).unchanged == 3
    ingest(lake, pictures, run_id="run-4", options=SourceOptions(domain="art"))
    assert set(said_of(lake).values()) == {(None, "art")}
    with pytest.raises(ConfigError, match="give only one of them"):
        SourceOptions(domain="ads", domain_from="none")


def test_a_file_with_other_content_leaves_the_label_of_what_it_was(
    tmp_path: Path, pictures: Path
) -> None:
    """The new image has no label yet, and the old one keeps its own."""
    lake = Lake(tmp_path / "lake")
    ingest(lake, pictures, options=LABELLED)
    old = lake.scan("sightings").filter(pl.col("label") == "real").collect()["image_id"][0]
    (pictures / "real" / "0.png").write_bytes(picture(9))
    ingest(lake, pictures, run_id="run-2")
    labels = best_labels(*(lake.scan(table) for table in ("reviews", "synthetics", "sightings")))
    found = dict(labels.select("image_id", "label").collect().iter_rows())
    assert found[old] == "real"
    assert sorted(found.values()) == ["fake", "real"]
