"""Tables of an older version: read, appended to, and extended by new columns."""

from __future__ import annotations

from pathlib import Path

import factories
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.data.sources.find import SourceOptions, find_items


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create one image in each of four Hive partitions: fake, real in domain a/b, and unknown."""
    for number, (place, more) in enumerate(
        (
            ("label=fake/part-0.parquet", {}),
            ("label=0/domain=a%2Fb/part-0.parquet", {}),
            ("label=__HIVE_DEFAULT_PARTITION__/part-0.parquet", {}),
            ("label=fake/part-1.parquet", {"Label": ["real"]}),
            ("_temporary/0/label=fake/part-0.parquet", {}),
            ("_delta_log/0.checkpoint.parquet", {}),
        )
    ):
        path = tmp_path / "table" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"image": [factories.jpeg(seed=number)], **more}), path)
    return tmp_path / "table"


@pytest.mark.parametrize("pattern", ["", "/*/**/*.parquet"])
@pytest.mark.parametrize("label_from", [None, "column:label"])
def test_columns_of_folders_count_unless_a_part_has_them_itself(
    folder: Path, pattern: str, label_from: str | None
) -> None:
    """Partitions are columns in a folder and by a pattern; uncommitted parts are not items."""
    options = SourceOptions(label_from=label_from)
    items = list(find_items([f"{folder}{pattern}"], options))
    told = {
        tuple(item.source_uri.rpartition("/table/")[2].split("/")[:-1]): (item.label, item.domain)
        for item in items
        if "part-0" in item.source_uri and "_temporary" not in item.source_uri
    }
    assert told == {
        ("label%3Dfake",): ("fake", None),
        ("label%3D0", "domain%3Da%252Fb"): ("real", "a/b"),
        ("label%3D__HIVE_DEFAULT_PARTITION__",): (None, None),
    }
    assert [item.label for item in items if "part-1" in item.source_uri] == ["real"]
    assert not any(item.note for item in items)
    assert pattern or not any("/_" in item.source_uri.partition("/table")[2] for item in items)
