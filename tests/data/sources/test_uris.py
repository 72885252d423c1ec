"""Selection of items by patterns."""

import pytest

from assay.data.sources.items import SourceOptions
from assay.data.sources.uris import is_chosen


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("*.JPG", ["a/b/x.jpg", "a/../x.jpg"]),
        ("b", ["a/b/x.jpg", "a/b/y.png"]),
        ("a/*.jpg", ["a/../x.jpg"]),
        ("a/b", ["a/b/x.jpg", "a/b/y.png"]),
        ("./a/b/", ["a/b/x.jpg", "a/b/y.png"]),
        ("a/**/*.png", ["a/b/y.png"]),
        ("{x,y}.{jpg,png}", ["a/b/x.jpg", "a/b/y.png", "a/../x.jpg"]),
        ("[x-z].jpg", ["a/b/x.jpg", "a/../x.jpg"]),
        ("b/x.jpg", []),
        ("**", ["a/b/x.jpg", "a/b/y.png", "a/../x.jpg"]),
    ],
)
def test_a_pattern_chooses_items_and_folders(pattern, chosen):
    """Patterns also match names of unsafe members, which are rejected by their own reason."""
    paths = ["a/b/x.jpg", "a/b/y.png", "a/../x.jpg"]
    include, exclude = SourceOptions(include=(pattern,)), SourceOptions(exclude=(pattern,))
    assert [path for path in paths if is_chosen(path.split("/"), include)] == chosen
    assert [path for path in paths if not is_chosen(path.split("/"), exclude)] == chosen
