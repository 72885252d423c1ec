"""Numbers in messages have their nouns in the right number."""

import pytest

from assay.data.text.wording import counted


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((2000, "image"), "2,000 images"),
        ((1, "copy", "copies"), "1 copy"),
        ((3, "copy", "copies"), "3 copies"),
        ((1, "row is", "rows are"), "1 row is"),
    ],
)
def test_a_number_has_its_noun(given, text):
    """One has the singular, all others the plural, which may be given with a verb."""
    assert counted(*given) == text
