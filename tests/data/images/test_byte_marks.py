"""Marks are counted as `bytes.count` counts them, at every place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.data.images.byte_marks import n_marks


@pytest.mark.parametrize("mark", [b"\xff\xda", b"jumb"])
@given(data=st.data())
def test_marks_are_counted_at_every_alignment(mark, data):
    """The count equals that of `bytes.count`, for marks that do not overlap themselves."""
    pieces = st.sampled_from([mark, mark[:1], mark[1:], b"\0"])
    raw = data.draw(st.lists(pieces, max_size=40).map(b"".join))
    assert n_marks(raw, mark) == raw.count(mark)
