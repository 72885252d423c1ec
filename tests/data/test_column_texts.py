"""Every table and every column has a description."""

import pyarrow as pa
import pytest

from assay.data.column_texts import COLUMN_TEXTS, ROW_TEXTS, kind_text
from assay.data.schema import TABLES


def test_every_column_has_a_text():
    """Descriptions exist for exactly the columns of the schema."""
    assert set(ROW_TEXTS) == set(TABLES)
    assert {table: set(texts) for table, texts in COLUMN_TEXTS.items()} == {
        table: set(schema.names) for table, schema in TABLES.items()
    }


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.string(), "text"),
        (pa.float32(), "float32"),
        (pa.timestamp("us", tz="UTC"), "time, UTC"),
        (pa.list_(pa.float32()), "list of float32"),
        (pa.struct([pa.field("make", pa.string())]), "struct of make"),
    ],
)
def test_a_type_is_told_in_words(kind, text):
    """Types of columns are readable, also of lists and structs."""
    assert kind_text(kind) == text
