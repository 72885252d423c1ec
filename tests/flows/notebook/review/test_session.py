"""The session behind the widget: what is saved, what is refused, what is taken back."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lakes import Made, Shot, lake_of

from assay.data.errors import InputError, StoreError
from assay.data.store.lake import Lake
from assay.flows.notebook.review.feeds import ListFeed
from assay.flows.notebook.review.items import items_of
from assay.flows.notebook.review.session import ReviewSession, own_answers
from assay.tasks.review.answers import all_answers, standing_answers
from assay.tasks.review.journal import Journal


@pytest.fixture(scope="module")
def three_images(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a lake with three images."""
    shots = [Shot(name=name, seed=seed, prob=0.5) for seed, name in enumerate("abc")]
    return lake_of(tmp_path_factory.mktemp("three") / "lake", shots)


@pytest.fixture
def made(three_images: Made, tmp_path: Path) -> Made:
    """Copy the lake, for one test."""
    shutil.copytree(three_images.lake.uri, tmp_path / "lake")
    return replace(three_images, lake=Lake(tmp_path / "lake", create=False))


@pytest.fixture
def journal(made: Made) -> Iterator[Journal]:
    with Journal(made.lake) as journal:
        yield journal


def session_of(made: Made, journal: Journal, *, reviewer: str = "ann") -> ReviewSession:
    ids = [made.ids[name] for name in ("a", "b", "c")]
    own = own_answers(made.lake, reviewer, ids)["image_id"].to_list()
    left = [image_id for image_id in ids if image_id not in own]
    feed = ListFeed(made.lake, journal, reviewer=reviewer, image_ids=left, scope=None)
    before = items_of(made.lake, own)
    return ReviewSession(made.lake, journal, reviewer=reviewer, feed=feed, before=before)


def entry(image_id: str, label: str = "fake", **more: Any) -> dict[str, Any]:
    return {"answer_id": uuid.uuid4().hex, "image_id": image_id, "label": label} | more


def labels_on_disk(made: Made) -> dict[str, str]:
    """Read with a lake opened anew, as another process does."""
    names = {image_id: name for name, image_id in made.ids.items()}
    rows = standing_answers(Lake(made.lake.uri, create=False)).collect()
    return {names[row["image_id"]]: row["label"] for row in rows.iter_rows(named=True)}


def test_an_answer_is_on_disk_with_all_that_was_said(made: Made, journal: Journal) -> None:
    """Before the reply, and from the notebook."""
    session = session_of(made, journal)
    session.look(0, 3, "small")
    told = entry(
        made.ids["a"], shown=["score", "reasons"], seconds=1.5, note=" odd hands ",
        reason="anatomy_or_geometry",
    )  # fmt: skip
    reply = session.record([told])
    assert reply == {"ids": [told["answer_id"]], "saved": {made.ids["a"]: "fake"}, "refused": {}}
    (row,) = all_answers(Lake(made.lake.uri, create=False)).collect().to_dicts()
    assert row["answer_id"] == told["answer_id"]
    assert (row["reviewer"], row["origin"], row["kind"]) == ("ann", "notebook", "grid")
    assert (row["note"], row["reason"], row["seconds"]) == ("odd hands", told["reason"], 1.5)
    assert row["shown"] == ["score", "reasons"]


def test_an_answer_that_comes_again_is_recorded_once(made: Made, journal: Journal) -> None:
    """A page that got no reply sends it again, here after a correction; the correction stands."""
    session = session_of(made, journal)
    first, correction = entry(made.ids["a"], "fake"), entry(made.ids["a"], "real")
    session.record([first])
    session.record([correction])
    reply = session.record([first])
    assert reply["ids"] == [first["answer_id"]]
    assert reply["saved"] == {made.ids["a"]: "real"}
    assert all_answers(made.lake).collect().height == 2


def test_an_answer_taken_back_lets_the_one_before_stand(made: Made, journal: Journal) -> None:
    """Undo is a row of its own; taken back twice, the image is open again."""
    session = session_of(made, journal)
    session.look(0, 3, "small")
    first, second = entry(made.ids["a"], "fake"), entry(made.ids["a"], "real")
    session.record([first, second])
    for given, label in ((second, "fake"), (first, None)):
        back = {
            "answer_id": uuid.uuid4().hex,
            "image_id": made.ids["a"],
            "withdraws": given["answer_id"],
        }
        assert session.record([back])["saved"] == {made.ids["a"]: label}
    assert labels_on_disk(made) == {}
    assert all_answers(made.lake).collect().height == 4
    assert session.state()["answered"] == 0


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"image_id": "0" * 64}, "has no image 0000"),
        ({"image_id": "<svg onload=alert(1)>"}, "is not an id"),
        ({"label": "cat"}, "label 'cat' is unknown"),
        ({"note": "x" * 5001}, "5,001 characters"),
        ({"seconds": -1}, "seconds"),
        ({"shown": "score"}, "not a list"),
        ({"withdraws": "f" * 32}, "has given no answer"),
        ({"answer_id": "../x"}, "is not an id of an answer"),
        ({"answer_id": None}, "no answer_id"),
    ],
)
def test_a_refused_answer_does_not_hold_up_the_others(
    made: Made, journal: Journal, wrong: dict[str, Any], words: str
) -> None:
    """The reply names it with the reason; those beside it are saved."""
    session = session_of(made, journal)
    session.look(0, 3, "small")
    bad = entry(made.ids["b"]) | wrong
    reply = session.record([entry(made.ids["a"], "real"), bad, entry(made.ids["c"], "unsure")])
    assert [words in message for message in reply["refused"].values()] == [True]
    assert labels_on_disk(made) == {"a": "real", "c": "unsure"}


def test_a_disk_that_is_full_leaves_the_answer_with_the_page(
    made: Made, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reply says why, and names no answer as saved; sent again, it is."""
    session = session_of(made, journal)
    told = entry(made.ids["a"])

    def refuse(_answers: object) -> None:
        raise StoreError("cannot write: no space left")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "record", refuse)
        reply = session.record([told])
    assert reply["ids"] == []
    assert reply["waiting"] == "cannot write: no space left"
    assert session.record([told])["ids"] == [told["answer_id"]]
    assert labels_on_disk(made) == {"a": "fake"}


def test_a_new_session_goes_on_and_shows_what_is_saved(made: Made, journal: Journal) -> None:
    """The answered image comes first, with its label; the next one is open; undo goes back."""
    session = session_of(made, journal)
    told = entry(made.ids["b"], "laundered")
    session.record([told])
    again = session_of(made, journal)
    assert again.start == 1
    shown = again.look(0, 3, "small")
    assert [(item["image_id"], item["label"]) for item in shown] == [
        (made.ids["b"], "laundered"),
        (made.ids["a"], None),
        (made.ids["c"], None),
    ]
    assert again.state() == {
        "answered": 1,
        "left": 2,
        "elsewhere": 0,
        "end": None,
        "undo": [{"image_id": made.ids["b"], "answer_id": told["answer_id"]}],
    }


def test_two_reviewers_have_different_images_before_them(made: Made, journal: Journal) -> None:
    """What one has is put off for the other, and comes once it is given back."""
    ann, bob = session_of(made, journal), session_of(made, journal, reviewer="bob")
    assert len(ann.look(0, 2, "small")) == 2
    assert [item["image_id"] for item in bob.look(0, 3, "small")] == [made.ids["c"]]
    assert (bob.state()["elsewhere"], bob.state()["end"]) == (2, 1)
    ann.close()
    assert {item["image_id"] for item in bob.look(1, 2, "small")} == {
        made.ids["a"],
        made.ids["b"],
    }


def test_an_image_has_a_veil_and_a_size_and_a_broken_one_has_neither(
    made: Made, journal: Journal
) -> None:
    """The page says that it cannot be shown, and takes an answer all the same."""
    shard = next(Path(made.lake.uri).glob("shards/*.parquet"))
    assert shard.stat().st_size > 0
    session = session_of(made, journal)
    (item,) = session.look(0, 1, "large")
    assert item["sharp"].startswith("data:image/webp;base64,")
    assert len(item["veil"]) < 600
    shard.unlink()
    (item,) = session.look(1, 1, "large")
    assert (item["sharp"], item["veil"]) == (None, None)
    assert session.record([entry(item["image_id"], "unsure")])["refused"] == {}


@pytest.mark.parametrize(
    "asked", [(-1, 1, "small"), (0, True, "small"), (0, 1, "huge"), ("0", 1, "small")]
)
def test_what_no_page_asks_for_is_refused(
    made: Made, journal: Journal, asked: tuple[Any, Any, Any]
) -> None:
    """Places and sizes are checked."""
    with pytest.raises(InputError, match="allowed: whole numbers from 0"):
        session_of(made, journal).look(*asked)
