"""No image is before two reviewers, and a lease ends by its answer, its release or its time."""

from __future__ import annotations

import pytest
from processes import PROCESSES
from reviewing import answer, image_ids, images_lake

from assay.data.errors import ConfigError, InputError
from assay.data.store.lake import Lake
from assay.tasks.review.journal import Journal

A, B, C = image_ids(3)


@pytest.fixture
def clock():
    return [1_000_000_000.0]


@pytest.fixture
def journal(tmp_path, clock):
    with Journal(images_lake(tmp_path / "lake"), now=lambda: clock[0]) as opened:
        yield opened


def test_an_image_is_leased_to_one_reviewer(journal):
    """A second one, and the same one again, get what is left."""
    assert journal.leases.lease([A, B], "ann") == [A, B]
    assert journal.leases.lease([A, B, C], "bob") == [C]
    assert journal.leases.lease([A], "ann") == []
    assert journal.leases.held() == {A: "ann", B: "ann", C: "bob"}


def test_a_lease_ends_by_its_time(journal, clock):
    """At the second, and not before."""
    journal.leases.lease([A], "ann", seconds=60)
    clock[0] += 59.9
    assert journal.leases.lease([A], "bob") == []
    clock[0] += 0.1
    assert journal.leases.held() == {}
    assert journal.leases.lease([A], "bob") == [A]


def test_a_lease_can_be_renewed_until_it_ends(journal, clock):
    """Only by its reviewer."""
    journal.leases.lease([A], "ann", seconds=60)
    clock[0] += 30
    assert journal.leases.renew([A, B], "ann", seconds=60) == [A]
    assert journal.leases.renew([A], "bob") == []
    clock[0] += 59
    assert journal.leases.held() == {A: "ann"}
    clock[0] += 1
    assert journal.leases.renew([A], "ann") == []


def test_a_release_frees_own_images_only(journal):
    """The others stay leased."""
    journal.leases.lease([A], "ann")
    journal.leases.lease([B], "bob")
    journal.leases.release([A, B], "ann")
    assert journal.leases.held() == {B: "bob"}


def test_an_answer_ends_the_lease_of_its_reviewer(tmp_path):
    """The lease of another reviewer stays."""
    with Journal(images_lake(tmp_path / "lake")) as journal:
        journal.leases.lease([A], "ann")
        journal.leases.lease([B], "bob")
        journal.record([answer(A), answer(B)])
        assert journal.leases.held() == {B: "bob"}


@pytest.mark.parametrize("seconds", [0, -1, 86_401, float("nan"), float("inf")])
def test_a_lease_lasts_at_most_a_day(journal, seconds):
    """An endless lease would take its image from everybody."""
    with pytest.raises(ConfigError, match="is not allowed"):
        journal.leases.lease([A], "ann", seconds=seconds)


def test_a_name_that_cannot_answer_gets_no_lease(journal):
    """The rule is that of answers."""
    with pytest.raises(InputError, match="10,000 characters"):
        journal.leases.lease([A], "a" * 10_000)


def take_all(uri, reviewer, start, out):
    """Take images one by one until none is left."""
    ids = image_ids(60)
    with Journal(Lake(uri)) as journal:
        out.send("ready")
        start.wait()
        out.send([got for image_id in ids for got in journal.leases.lease([image_id], reviewer)])


def test_processes_that_take_at_once_never_get_the_same_image(tmp_path):
    """Three reviewers share 60 images, each with one of them."""
    lake = images_lake(tmp_path / "lake", 60)
    start = PROCESSES.Event()
    ends, children = [], []
    for number in range(3):
        end, out = PROCESSES.Pipe(duplex=False)
        child = PROCESSES.Process(target=take_all, args=(lake.uri, f"r{number}", start, out))
        child.start()
        ends.append(end)
        children.append(child)
    assert [end.recv() for end in ends] == ["ready"] * 3
    start.set()
    taken = [image_id for end in ends for image_id in end.recv()]
    assert sorted(taken) == sorted(image_ids(60))
    for child in children:
        child.join(timeout=60)
