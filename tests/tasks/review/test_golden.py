"""Golden items: set, changed and removed by rows, the latest of which counts."""

import lakes
import pytest
from lakes import Shot

from assay.data.errors import InputError
from assay.tasks.review.golden import golden_items, remove_golden, set_golden


@pytest.fixture
def made(tmp_path):
    return lakes.lake_of(
        tmp_path / "lake", [Shot(name=name, seed=n) for n, name in enumerate("abc")]
    )


def items(made):
    rows = golden_items(made.lake).select("image_id", "label").iter_rows()
    names = {image_id: name for name, image_id in made.ids.items()}
    return {names[image_id]: label for image_id, label in rows}


def test_the_latest_change_of_an_image_counts(made):
    """Two are set, one gets another label, the other is golden no longer."""
    ids = [made.ids["a"], made.ids["b"]]
    assert set_golden(made.lake, ids, label="real", by="lead") == ids
    assert set_golden(made.lake, ids[:1], label="fake", by="lead") == ids[:1]
    assert remove_golden(made.lake, ids[1:], by="lead") == ids[1:]
    assert items(made) == {"a": "fake"}


def test_what_changes_nothing_writes_no_row(made):
    """The same label again, and the removal of what is not golden, are no changes."""
    set_golden(made.lake, [made.ids["a"]], label="real", by="lead")
    assert set_golden(made.lake, [made.ids["a"]], label="real", by="lead") == []
    assert remove_golden(made.lake, [made.ids["b"]], by="lead") == []
    assert made.lake.n_rows("golden") == 1


@pytest.mark.parametrize(
    ("label", "by", "image", "seen"),
    [
        ("unsure", "lead", "a", "'unsure' is unknown"),
        ("real", "", "a", "name is empty"),
        ("real", "lead", "f" * 64, "has no image ffff"),
    ],
)
def test_bad_input_changes_nothing(made, label, by, image, seen):
    """An image that is unknown spoils the whole call, and the message says what is wrong."""
    ids = [made.ids["b"], made.ids.get(image, image)]
    with pytest.raises(InputError, match=seen):
        set_golden(made.lake, ids, label=label, by=by)
    assert items(made) == {}
