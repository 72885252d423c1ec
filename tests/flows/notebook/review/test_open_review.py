"""`assay.review(...)`: which images it takes, and what it says of what it cannot take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lakes import Made, Shot, lake_of

import assay
from assay.data.errors import ConfigError, InputError, StoreError
from assay.flows.results.moderation import Moderation
from assay.tasks.review.answer import Answer
from assay.tasks.review.journal import Journal

# In the band is 0.35 to 0.65 by the packaged policy for the detector of these lakes.
PROBS = {"clear": 0.01, "low": 0.4, "high": 0.6, "flag": 0.7, "flagged": 0.99}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a lake with images of every decision, one labelled by another reviewer."""
    shots = [
        Shot(name=name, prob=prob, seed=seed, domain="ads" if name == "high" else None)
        for seed, (name, prob) in enumerate(PROBS.items())
    ]
    made = lake_of(tmp_path_factory.mktemp("open") / "lake", shots)
    with Journal(made.lake) as journal:
        journal.record(
            [
                Answer(
                    image_id=made.ids["flag"],
                    label="fake",
                    reviewer="bob",
                    origin="command",
                    kind="queue",
                )
            ]
        )
    return made


def names(made: Made, widget: Any) -> list[str]:
    """Return the images that a widget shows, in order, and give them back."""
    by_id = {image_id: name for name, image_id in made.ids.items()}
    shown = [by_id[item["image_id"]] for item in widget.session.look(0, 24, "small")]
    widget.close()
    return shown


def test_a_result_gives_what_was_left_to_people_or_flagged(made: Made) -> None:
    """The band from its upper end, then flags from the lowest; bob's image needs no second look."""
    result = Moderation(run_id=made.run_id, lake=made.lake.uri)
    assert names(made, assay.review(result, reviewer="ann")) == ["high", "low", "flagged"]
    both = assay.review(result, reviewer="ann", second_opinion=True)
    assert names(made, both) == ["high", "low", "flag", "flagged"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("decision = 'clear'", ["clear"]),
        ("prob_fake > 0.9", ["flagged"]),
        ("domain = 'ads' and label is null", ["high"]),
    ],
)
def test_a_condition_selects(made: Made, where: str, expected: list[str]) -> None:
    """In SQL, on the images of a lake or of a run."""
    widget = assay.review(made.lake.uri, where=where, reviewer="ann")
    assert names(made, widget) == expected


def test_a_frame_a_series_and_a_list_are_taken_in_their_order(made: Made) -> None:
    """Repeated ids once."""
    ids = [made.ids["low"], made.ids["clear"], made.ids["low"]]
    frame = pl.DataFrame({"image_id": ids, "x": [1, 2, 3]})
    for given in (frame, frame.lazy(), frame.to_pandas(), frame["image_id"], ids, tuple(ids)):
        widget = assay.review(given, lake=made.lake, reviewer="ann")
        assert names(made, widget) == ["low", "clear"]


def test_a_lake_gives_its_queue(made: Made) -> None:
    """Each image once, without the one that another reviewer has answered."""
    shown = names(made, assay.review(made.lake, reviewer="ann"))
    assert len(shown) == len(set(shown)) == 4
    assert "flag" not in shown


def test_the_page_is_not_shown_why_an_image_came(made: Made) -> None:
    """Golden items and audits would be answered with more care."""
    widget = assay.review(made.lake, reviewer="ann")
    for item in widget.session.look(0, 4, "small"):
        assert set(item) == {
            "place", "image_id", "label", "name", "score", "decision", "reasons", "sharp", "veil",
        }  # fmt: skip
    widget.close()


@pytest.mark.parametrize(
    ("what", "options", "error", "words"),
    [
        ("lake", {"where": "prob_fake >"}, ConfigError, "is not a condition"),
        ("lake", {"where": "prob_fake > 2"}, InputError, "no image meets where"),
        ("lake", {"reviewer": "x" * 10_000}, InputError, "10,000 characters"),
        ("lake", {"lake": "other"}, ConfigError, "two lakes"),
        ("nothing", {}, StoreError, "there is no lake"),
        ([], {"lake": "lake"}, InputError, "no images to review"),
        (["f" * 64], {"lake": "lake"}, InputError, "pass lake="),
        (["<svg>"], {"lake": "lake"}, InputError, "is not an id"),
        (["f" * 64], {"lake": "lake", "where": "true"}, ConfigError, "filter the frame"),
        (pl.DataFrame({"x": [1]}), {"lake": "lake"}, ConfigError, "a column image_id"),
        (7, {"lake": "lake"}, TypeError, "int cannot be reviewed"),
    ],
)
def test_what_cannot_be_reviewed_is_said(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    what: Any,
    options: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    """One line: what was seen, what is allowed, what to do."""
    monkeypatch.chdir(Path(made.lake.uri).parent)
    with pytest.raises(error, match=words) as refused:
        assay.review(what, **{"reviewer": "ann"} | options)
    assert "\n" not in str(refused.value)


def test_without_the_extra_it_says_what_to_install() -> None:
    """The page of `assay review serve` needs nothing more."""
    script = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['IPython', 'anywidget', 'ipywidgets', 'traitlets'])\n"
        "import assay\n"
        "try:\n    assay.review('lake')\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("ConfigError assay.review needs anywidget")
    assert "pip install 'assay[notebook]'" in done.stdout


@pytest.mark.browser  # marimo is installed with the packages of these tests
def test_marimo_wraps_the_widget(made: Made) -> None:
    """Its cells show it by `mo.ui.anywidget`."""
    import marimo

    widget = assay.review(made.lake, where="true", reviewer="ann")
    wrapped = marimo.ui.anywidget(widget)
    assert wrapped.widget is widget
    assert wrapped.value["_reviewer"] == "ann"
    widget.close()
