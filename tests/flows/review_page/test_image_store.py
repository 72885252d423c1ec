"""Renditions are made once, kept while they fit, and errors are not kept."""

import threading

import pytest
from lakes import Shot, lake_of

from assay.data.errors import InputError, StoreError
from assay.flows.review_page import image_store
from assay.flows.review_page.image_store import ImageStore, KeptBytes
from assay.tasks.grid import renditions
from assay.tasks.lake.forget import forget
from assay.tasks.pages.renditions import SMALL, VIEW


def test_a_result_is_made_once_while_it_is_kept():
    """The second call finds it; another key is another result."""
    kept, calls = KeptBytes(100), []

    def make():
        calls.append(1)
        return b"abc"

    assert [kept.get("a", make), kept.get("a", make), kept.get("b", make)] == [b"abc"] * 3
    assert len(calls) == 2


def test_the_longest_unused_results_are_dropped():
    """All together they never exceed the size."""
    kept, calls = KeptBytes(100), []

    def make(name):
        calls.append(name)
        return b"x" * 40

    for name in "abaca":
        kept.get(name, lambda name=name: make(name))
    assert calls == ["a", "b", "c"]
    kept.get("b", lambda: make("b"))
    assert calls == ["a", "b", "c", "b"]


def test_threads_that_want_the_same_wait_for_one():
    """A page asks for an image twice: ahead, and when it is shown."""
    kept, calls = KeptBytes(100), []
    is_making, may_end = threading.Event(), threading.Event()

    def make():
        calls.append(1)
        is_making.set()
        assert may_end.wait(30)
        return b"abc"

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(kept.get("a", make))) for _ in range(3)
    ]
    threads[0].start()
    assert is_making.wait(30)
    for thread in threads[1:]:
        thread.start()
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert results == [b"abc"] * 3
    assert len(calls) == 1


def test_an_error_reaches_the_caller_and_is_not_kept():
    """A store that was away for a moment is asked again."""
    kept = KeptBytes(100)

    def fail():
        raise StoreError("away")

    with pytest.raises(StoreError, match="away"):
        kept.get("a", fail)
    assert kept.get("a", lambda: b"abc") == b"abc"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    shots = [Shot(name="a", size=(640, 480))]
    return lake_of(tmp_path_factory.mktemp("lakes") / "lake", shots)


def test_sizes_are_kept_apart(made):
    """A thumbnail does not stand in for the image."""
    store = ImageStore(made.lake)
    small, view = (store.rendition(made.ids["a"], size) for size in (SMALL, VIEW))
    assert len(small) < len(view)
    assert store.rendition(made.ids["a"], SMALL) is small


def test_a_lake_without_scores_has_no_map(tmp_path):
    """The message says why."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")], is_scored=False)
    with pytest.raises(InputError, match="nothing was scored"):
        ImageStore(made.lake).overlay(made.ids["a"])


def test_an_image_that_is_forgotten_is_shown_no_more(tmp_path, monkeypatch):
    """Neither the page's store nor that of its thumbnails gives what it has in memory."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", seed=1), Shot(name="b", seed=2)])
    monkeypatch.setattr(image_store, "_LOOK_AFTER_S", 0.0)
    monkeypatch.setattr(renditions, "_LOOK_AFTER_S", 0.0)
    pages, thumbnails = ImageStore(made.lake), renditions.RenditionStore(made.lake)
    assert pages.rendition(made.ids["a"], SMALL)
    assert thumbnails.get(made.ids["a"])
    forget(made.lake, [made.ids["a"]], by="ann")
    with pytest.raises(StoreError, match="was forgotten"):
        pages.rendition(made.ids["a"], SMALL)
    assert (thumbnails.get(made.ids["a"]), thumbnails.n_bytes) == (None, 0)
    assert pages.rendition(made.ids["b"], SMALL)
    thumbnails.close()
