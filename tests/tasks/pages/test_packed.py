"""Packed columns: every value comes back, and nothing in them can end an element."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unpacking import unpacked

from assay.tasks.pages.packed import pack

LINES = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))


@given(st.lists(st.tuples(LINES, st.integers(0, 2**32 - 1), st.floats(width=32))))
def test_every_value_comes_back(rows: list[tuple[str, int, float]]) -> None:
    """Texts, integers and floats, NaN too, are as they were."""
    texts = [text for text, _, _ in rows]
    numbers = np.array([n for _, n, _ in rows], dtype=np.uint32)
    floats = np.array([x for _, _, x in rows], dtype=np.float32)
    found = unpacked(pack(len(rows), {"text": texts, "n": numbers, "x": floats}))
    assert found["text"] == texts
    np.testing.assert_array_equal(np.ravel(found["n"]), numbers)
    np.testing.assert_array_equal(np.ravel(found["x"]), floats)


@given(LINES)
def test_the_text_cannot_end_the_element_that_holds_it(text: str) -> None:
    """The data has the characters of base64 only, whatever the text."""
    for attack in (text, "</script>" + text, "<!--", "]]>", "\u2028\u202e"):
        assert re.fullmatch(r"[A-Za-z0-9+/=]+", pack(1, {"text": [attack]}).data)


def test_rows_may_have_several_values_and_equal_columns_are_equal_texts() -> None:
    """An id of six bytes is a row of width six, and no time of day is in the data."""
    ids = np.arange(12, dtype=np.uint8).reshape(2, 6)
    packed = pack(2, {"id": ids})
    assert packed.columns == (("id", "u1", 6, 12),)
    assert pack(2, {"id": ids.copy()}) == packed
    np.testing.assert_array_equal(unpacked(packed)["id"], ids)


def test_columns_that_do_not_fit_are_refused() -> None:
    """Another length, another type and a line feed are errors with the column's name."""
    with pytest.raises(ValueError, match="column n has 1 value, not 2"):
        pack(2, {"n": np.zeros(1, np.uint8)})
    with pytest.raises(ValueError, match="column n has the type int64"):
        pack(1, {"n": np.zeros(1, np.int64)})
    with pytest.raises(ValueError, match="a text of column t has a line feed"):
        pack(1, {"t": ["a\nb"]})
