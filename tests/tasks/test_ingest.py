"""Ingest: one row per item, each image stored once, no work repeated."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from ingesting import (
    Broken,
    Given,
    NeverRead,
    counting,
    ingest,
    ingest_items,
    item_at,
    picture,
    put,
    sha256,
    states,
    versions,
)

from assay.data.images.inspect_image import ImageLimits, inspect_image
from assay.data.sources.find import Item, SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.data.vocabulary import Reason
from assay.tasks.batches import batch_id_of, chunks
from assay.tasks.ingest import ingest_chunk
from assay.tasks.ingest_counts import IngestCounts


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def test_every_item_has_one_row_and_every_picture_is_stored_once(lake: Lake, source: Path) -> None:
    """Two images, a copy, a text file and an empty file make five rows and two stored images."""
    a, b = picture(1), picture(2)
    put(source, {"a.png": a, "b.png": b, "copy.png": a, "empty.png": b"", "note.txt": b"hello"})
    counts = ingest(lake, source)
    assert counts == IngestCounts(
        items=5, stored=2, duplicates=1, rejected=2, n_bytes=2 * len(a) + len(b) + 5
    )
    assert states(lake) == {
        "a.png": ("stored", None),
        "b.png": ("stored", None),
        "copy.png": ("duplicate", "same_bytes"),
        "empty.png": ("rejected", "empty"),
        "note.txt": ("rejected", "not_an_image"),
    }
    assert lake.scan("sightings").collect().height == 5
    assert sorted(lake.scan("images").collect()["image_id"]) == sorted([sha256(a), sha256(b)])
    assert lake.image(sha256(a)) == a
    assert lake.image(sha256(b)) == b


def test_an_image_row_holds_the_facts(lake: Lake, source: Path) -> None:
    """Size, format and hashes of the row are those of the picture."""
    raw = picture(1, (40, 30), "JPEG")
    put(source, {"a.jpg": raw})
    ingest(lake, source)
    row = lake.scan("images").collect().row(0, named=True)
    facts = inspect_image(raw)
    assert (row["width_px"], row["height_px"], row["format"]) == (40, 30, "JPEG")
    assert (row["n_bytes"], row["phash"]) == (len(raw), facts.phash)
    assert (row["jpeg_quality"], row["batch_id"]) == (facts.jpeg_quality, "b-1")


def test_running_again_reads_and_writes_nothing(lake: Lake, source: Path) -> None:
    """The second run counts the same, all of it unchanged, and commits nothing."""
    put(source, {"a.png": picture(1), "b.png": picture(1), "c.txt": b"no"})
    first = ingest(lake, source)
    before = versions(lake)
    second = ingest(lake, source, run_id="run-2")
    assert second == IngestCounts(items=3, stored=1, duplicates=1, rejected=1, unchanged=3)
    assert (first.stored, first.duplicates, first.rejected) == (1, 1, 1)
    assert versions(lake) == before


def test_known_items_are_not_opened(lake: Lake, source: Path) -> None:
    """Items whose files are gone are still known, in this batch and in another."""
    put(source, {"a.png": picture(1), "c.txt": b"no"})
    options = SourceOptions()
    items = list(find_items([str(source)], options))
    ingest(lake, source)
    for file in source.iterdir():
        file.unlink()
    for batch_id, unchanged in (("b-1", 2), ("b-2", 0), ("b-2", 2)):
        counts = ingest_chunk(
            lake,
            items,
            batch_id=batch_id,
            run_id=f"run-{batch_id}-{unchanged}",
            chunk_index=0,
            options=options,
            n_workers=2,
        )
        assert (counts.n_bytes, counts.items, counts.unchanged) == (0, 2, unchanged)
    assert states(lake, "b-2") == {
        "a.png": ("duplicate", "same_bytes"),
        "c.txt": ("rejected", "not_an_image"),
    }
    assert counting(lake, "b-2")["c.txt"]["detail"] == counting(lake)["c.txt"]["detail"]


def test_a_changed_file_is_seen_again(lake: Lake, source: Path) -> None:
    """New content gets a new row, which counts; the old image stays."""
    put(source, {"a.png": picture(1)})
    ingest(lake, source)
    put(source, {"a.png": picture(2, (30, 30))})
    counts = ingest(lake, source, run_id="run-2")
    assert (counts.stored, counts.unchanged) == (1, 0)
    assert counting(lake)["a.png"]["image_id"] == sha256(picture(2, (30, 30)))
    assert lake.scan("sightings").collect().height == 2
    assert lake.image(sha256(picture(1))) == picture(1)


def test_a_touched_file_stays_the_stored_one(lake: Lake, source: Path) -> None:
    """A file with a new time and the same bytes is read again and is no duplicate."""
    put(source, {"a.png": picture(1), "b.png": picture(1)})
    ingest(lake, source)
    os.utime(source / "a.png", (5, 5))
    os.utime(source / "b.png", (6, 6))
    counts = ingest(lake, source, run_id="run-2")
    assert (counts.stored, counts.duplicates, counts.unchanged) == (1, 1, 0)
    assert states(lake) == {"a.png": ("stored", None), "b.png": ("duplicate", "same_bytes")}


def test_a_content_that_comes_back_counts_again(lake: Lake, source: Path) -> None:
    """After content one, two and one again, the latest sighting names the first image."""
    for run, (seed, time_s) in enumerate([(1, 100), (2, 200), (1, 100)]):
        put(source, {"a.png": picture(seed)})
        os.utime(source / "a.png", (time_s, time_s))
        ingest(lake, source, run_id=f"run-{run}")
        assert counting(lake)["a.png"]["image_id"] == sha256(picture(seed))
        assert states(lake) == {"a.png": ("stored", None)}


def test_a_new_label_or_domain_is_a_row_without_reading(lake: Lake, source: Path) -> None:
    """Label and domain of an item may change while its bytes do not."""
    put(source, {"real/a.png": picture(1)})
    ingest(lake, source)
    labelled = SourceOptions(label_from="parent-folder", domain="shop")
    counts = ingest(lake, source, run_id="run-2", options=labelled)
    assert (counts.stored, counts.unchanged, counts.n_bytes) == (1, 0, 0)
    row = counting(lake)["a.png"]
    assert (row["label"], row["domain"], row["status"]) == ("real", "shop", "stored")
    assert ingest(lake, source, run_id="run-3", options=labelled).unchanged == 1


def test_what_may_pass_is_tried_again(lake: Lake, source: Path) -> None:
    """A missing file is tried in every run: one row while it is missing, then stored."""
    put(source, {"a.png": picture(1)})
    options = SourceOptions()
    items = list(find_items([str(source)], options))
    (source / "a.png").rename(source.parent / "away.png")

    def again(run_id: str) -> IngestCounts:
        return ingest_chunk(
            lake,
            items,
            batch_id="b-1",
            run_id=run_id,
            chunk_index=0,
            options=options,
            n_workers=1,
        )

    assert (again("run-1").rejected, states(lake)) == (1, {"a.png": ("rejected", "not_found")})
    second = again("run-2")
    assert (second.rejected, second.unchanged) == (1, 1)
    assert lake.scan("sightings").collect().height == 1
    (source.parent / "away.png").rename(source / "a.png")
    assert again("run-3").stored == 1
    assert states(lake) == {"a.png": ("stored", None)}


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ImageLimits(max_pixels=100), "too_many_pixels"),
        (ImageLimits(max_bytes=100), "too_many_bytes"),
    ],
)
def test_wider_limits_judge_again(
    lake: Lake, source: Path, limits: ImageLimits, reason: str
) -> None:
    """An image that is too large is read again only under other limits."""
    put(source, {"a.png": picture(1)})
    narrow = SourceOptions(limits=limits)
    ingest(lake, source, options=narrow)
    assert states(lake) == {"a.png": ("rejected", reason)}
    same = ingest(lake, source, run_id="run-2", options=narrow)
    assert (same.unchanged, same.n_bytes) == (1, 0)
    assert ingest(lake, source, run_id="run-3").stored == 1


def test_a_problem_known_beforehand_is_a_row_once(lake: Lake) -> None:
    """Such an item is never read, and its row is not repeated."""
    item = Item(
        source_uri="zip:///x.zip!../evil.png",
        fingerprint="f",
        label=None,
        domain=None,
        address=NeverRead(),
        problem=(Reason.UNSAFE_PATH, "leaves the archive " + "x" * 500),
    )
    for run, unchanged in (("run-1", 0), ("run-2", 1)):
        counts = ingest_items(lake, [item], run_id=run)
        assert (counts.rejected, counts.unchanged) == (1, unchanged)
    row = lake.scan("sightings").collect().row(0, named=True)
    assert (row["status"], row["reason"], row["image_id"]) == ("rejected", "unsafe_path", None)
    assert len(row["detail"]) == 200


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MemoryError(), "out_of_memory"), (ZeroDivisionError("a bug"), "unreadable")],
)
def test_one_picture_never_stops_a_chunk(lake: Lake, error: Exception, reason: str) -> None:
    """An unexpected error at one item becomes its row; the others are stored."""
    counts = ingest_items(
        lake, [item_at(Broken(error), "a.png"), item_at(Given(picture(1)), "b.png")]
    )
    assert (counts.stored, counts.rejected) == (1, 1)
    assert states(lake)["a.png"] == ("rejected", reason)


def test_the_same_task_twice_is_done_once(lake: Lake, source: Path) -> None:
    """A task that is retried after all its commits finds everything known."""
    put(source, {"a.png": picture(1), "b.png": picture(2)})
    ingest(lake, source)
    before = versions(lake)
    assert ingest(lake, source).unchanged == 2
    assert versions(lake) == before


def test_an_item_listed_twice_has_one_row(lake: Lake) -> None:
    """An item that is listed twice is read once and counted twice."""
    item = item_at(Given(picture(1)), "a.png")
    counts = ingest_items(lake, [item, item])
    assert counts == IngestCounts(items=2, stored=2, n_bytes=len(picture(1)))
    assert lake.scan("sightings").collect().height == 1


def test_of_two_labels_the_later_one_counts(lake: Lake) -> None:
    """One address listed twice with different labels has two rows, in order."""
    raw = picture(1)
    items = [item_at(Given(raw), "a.png", label=label) for label in ("real", "fake")]
    ingest_items(lake, items)
    assert counting(lake)["a.png"]["label"] == "fake"
    assert lake.scan("sightings").collect()["status"].to_list() == ["stored", "stored"]


def test_progress_counts_every_item(lake: Lake, source: Path) -> None:
    """The callback counts read items, known items and known rejections once each."""
    put(source, {"a.png": picture(1), "b.png": picture(2), "c.txt": b"no"})
    told: list[int] = []
    options = SourceOptions()
    for _ in range(2):
        ingest_items(lake, list(find_items([str(source)], options)), on_item=told.append)
    assert sum(told) == 6


def test_chunks_take_only_as_they_go() -> None:
    """Seven items make chunks of three, and the stream is read only as far as needed."""
    items = [item_at(None, str(n)) for n in range(7)]
    assert [len(part) for part in chunks(items, max_items=3)] == [3, 3, 1]
    taken: list[int] = []
    stream = (taken.append(n) or items[0] for n in range(10**9))
    assert len(next(chunks(stream, max_items=2))) == 2
    assert len(taken) == 2


def test_batch_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id does not depend on folder and order of the sources, but on filters."""
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path)
    options = SourceOptions()
    one = batch_id_of(["a"], options)
    assert one.startswith("b-")
    assert len(one) == 18
    assert int(one[2:], 16) >= 0
    url = "https://example.com/x.png"
    same = [str(tmp_path / "a"), "./a", "a/../a", (tmp_path / "a").as_uri(), "a/"]
    assert {batch_id_of([source], options) for source in same} == {one}
    assert batch_id_of(["a", url], options) == batch_id_of([url, "a", "a"], options)
    assert batch_id_of(["b"], options) != one
    assert batch_id_of(["a"], SourceOptions(include=("*.png",))) != one
    assert batch_id_of(["a"], SourceOptions(label_from="parent-folder")) == one


def test_counts_add_up() -> None:
    """Counts of chunks are summed field by field."""
    one = IngestCounts(items=3, stored=1, duplicates=1, rejected=1, unchanged=2, n_bytes=10)
    assert one + one == IngestCounts(
        items=6, stored=2, duplicates=2, rejected=2, unchanged=4, n_bytes=20
    )


def test_items_are_small_when_they_travel(source: Path) -> None:
    """A task receives addresses, not images."""
    put(source, {f"{n}.png": picture(n, (200, 200)) for n in range(5)})
    items = list(find_items([str(source)], SourceOptions()))
    assert len(pickle.dumps(items)) < 5 * 1000


def test_a_label_that_is_none_is_told_with_its_value(tmp_path):
    """The sighting of a stored image notes the value; a corrected label removes the note."""
    put(tmp_path / "in", {"a.png": picture(1), "a.cls": b"deepfake\n", "b.png": picture(2)})
    lake = Lake(tmp_path / "lake")
    first = ingest(lake, tmp_path / "in")
    assert {name: row["detail"] for name, row in counting(lake).items()} == {
        "a.png": "label not known: deepfake",
        "b.png": None,
    }
    assert first.labels_not_taken == {"deepfake": 1}
    again = ingest(lake, tmp_path / "in", run_id="run-2")
    assert (again.unchanged, again.labels_not_taken) == (2, {"deepfake": 1})
    (tmp_path / "in" / "a.cls").write_text("fake")
    third = ingest(lake, tmp_path / "in", run_id="run-3")
    assert (counting(lake)["a.png"]["label"], counting(lake)["a.png"]["detail"]) == ("fake", None)
    assert third.labels_not_taken == {}


def test_of_many_values_that_are_no_label_some_are_counted_by_name():
    """A hundred values are counted by name, all others together."""
    one = IngestCounts(labels_not_taken={"caption": 2})
    total = sum((IngestCounts(labels_not_taken={str(n): 1}) for n in range(150)), one)
    assert len(total.labels_not_taken) == 101
    assert total.labels_not_taken["caption"] == 2
    assert total.labels_not_taken[""] == 51
    assert sum(total.labels_not_taken.values()) == 152
