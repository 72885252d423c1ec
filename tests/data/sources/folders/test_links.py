"""Links in folders are followed only within the folder, and never into a lake."""

from __future__ import annotations

from pathlib import Path

import factories
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.data.errors import InputError
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake_mark import MARKER
from assay.data.vocabulary import Reason


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Create a lake with a table of one image, and a folder `pics` with a link to it."""
    shard = tmp_path / "lake" / "shards" / "x.parquet"
    shard.parent.mkdir(parents=True)
    (tmp_path / "lake" / MARKER).write_text("{}")
    pq.write_table(pa.table({"image": [factories.jpeg(seed=1)]}), shard)
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.jpg").write_bytes(factories.jpeg(seed=2))
    return shard


def test_a_link_to_a_table_outside_or_in_a_lake_is_a_row(tmp_path: Path, table: Path) -> None:
    link = tmp_path / "pics" / "x.parquet"
    link.symlink_to(table)
    reasons = {
        str(folder): [
            item.problem[0]
            for item in find_items([str(folder)], SourceOptions())
            if item.problem is not None
        ]
        for folder in (tmp_path / "pics", tmp_path)
    }
    assert list(reasons.values()) == [[Reason.UNSAFE_PATH], [Reason.NOT_AN_IMAGE]]


def test_a_pattern_gives_no_link_into_a_lake(tmp_path: Path, table: Path) -> None:
    """A pattern matches no link to a table or a folder of a lake."""
    (tmp_path / "pics" / "x.parquet").symlink_to(table)
    (tmp_path / "pics" / "y").symlink_to(table.parent)
    items = list(find_items([f"{tmp_path}/pics/*"], SourceOptions()))
    assert [item.source_uri for item in items] == [(tmp_path / "pics" / "a.jpg").as_uri()]
    with pytest.raises(InputError, match="a lake is not a source"):
        find_items([f"{tmp_path}/pics/*.parquet"], SourceOptions())


def test_labels_are_not_read_through_links_that_lead_out(tmp_path: Path) -> None:
    """A sidecar behind a link out of the folder is not read, since its text may be shown."""
    (tmp_path / "secret").write_text("file_name,label\na.jpg,hush\n")
    folder = tmp_path / "pics"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(factories.jpeg(seed=2))
    (folder / "a.cls").symlink_to(tmp_path / "secret")
    (folder / "metadata.csv").symlink_to(tmp_path / "secret")
    items = list(find_items([str(folder)], SourceOptions()))
    assert [(item.note, item.problem and item.problem[0]) for item in items] == [
        (None, None),
        (None, Reason.UNSAFE_PATH),
    ]
