"""Each reviewer is given images that nobody else has, until everything is answered."""

from __future__ import annotations

import threading

import polars as pl
import pytest
from lakes import copied_lake
from reviewing import AT, answer, image_ids, images_lake, judged_lake

from assay.data.errors import ConfigError, InputError
from assay.tasks.review.answer import withdrawal
from assay.tasks.review.answers import standing_answers
from assay.tasks.review.appeals import appeals, open_appeal
from assay.tasks.review.golden import set_golden
from assay.tasks.review.journal import Journal
from assay.tasks.review.queue import Draw, next_items, serving
from assay.tasks.review.queue.serving import Queue

PROBS = [0.5, 0.6, 0.66, 0.1, 0.99, 0.01, None, 0.3]
IDS = image_ids(len(PROBS))


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return judged_lake(tmp_path_factory.mktemp("judged") / "lake", PROBS)


@pytest.fixture
def lake(template, tmp_path):
    return copied_lake(template, tmp_path / "lake")


@pytest.fixture
def journal(lake):
    with Journal(lake) as opened:
        yield opened


def ids(items):
    return [item.image_id for item in items]


def test_an_item_tells_what_is_known_of_its_image(lake, journal):
    """The flag at 0.66 lies close above its threshold, 0.65."""
    [item] = next_items(lake, journal, reviewer="ann", n=1)
    assert (item.image_id, item.kind, item.decision) == (IDS[2], "queue", "flag")
    assert item.prob_fake == pytest.approx(0.66)
    assert item.source_uri == "file:///pictures/2.jpg"
    assert item.run_id == "run-1"
    assert item.reasons == ("at_or_above_flag_threshold",)
    assert item.why == "Flagged: score 0.66, 0.0 logits above the flag threshold 0.65."


def test_two_reviewers_get_all_images_and_none_twice(lake, journal):
    """By turns, until nothing is left."""
    taken = []
    for turn in range(len(PROBS)):
        taken += ids(next_items(lake, journal, reviewer=("ann", "bob")[turn % 2], n=1))
    assert sorted(taken) == sorted(IDS)
    assert next_items(lake, journal, reviewer="ann", n=1) == []


def test_an_answered_image_is_not_given_again(lake, journal):
    """Neither to its reviewer, nor to others, nor in another process's queue."""
    [item] = next_items(lake, journal, reviewer="ann", n=1)
    journal.record([answer(item.image_id)])
    with Journal(lake) as other:
        assert item.image_id not in ids(next_items(lake, other, reviewer="bob", n=100))


def test_an_answer_of_another_process_is_seen_before_and_after_it_was_moved(lake, journal):
    """The ranking was made before it."""
    queue = Queue(lake, journal)
    [first] = queue.next("ann", 1)
    with Journal(lake) as other:
        other.record([answer(IDS[0], reviewer="bob"), answer(IDS[1], reviewer="bob")])
        assert IDS[0] not in ids(queue.next("ann", 2))
    journal.leases.release(IDS, "ann")
    assert set(ids(queue.next("ann", 100))) == set(IDS) - {IDS[0], IDS[1]}
    assert first.image_id in IDS


def test_an_image_that_was_answered_while_it_was_chosen_is_given_back(lake, journal):
    """The answer is recorded between the look at the answers and the lease."""
    queue = Queue(lake, journal)
    lease = journal.leases.lease

    def late(image_ids, reviewer, **more):
        journal.leases.lease = lease
        with Journal(lake) as other:
            other.record([answer(image_ids[0], reviewer="bob")])
        return lease(image_ids, reviewer, **more)

    journal.leases.lease = late
    [item] = queue.next("ann", 1)
    answered = standing_answers(lake).collect()["image_id"].to_list()
    assert item.image_id not in answered
    assert journal.leases.held() == {item.image_id: "ann"}


def test_a_withdrawn_answer_puts_its_image_back(lake, journal):
    """Undo, and the image is free again."""
    given = answer(IDS[0])
    journal.record([given])
    queue = Queue(lake, journal)
    assert IDS[0] not in ids(queue.next("bob", 100))
    journal.leases.release(IDS, "bob")
    late = answer(IDS[1])
    journal.record([late])
    assert IDS[1] not in ids(queue.next("bob", 100))
    journal.leases.release(IDS, "bob")
    journal.record([withdrawal(late.as_row(), origin="page")])
    assert IDS[1] in ids(queue.next("bob", 100))


def test_an_expired_lease_frees_its_image(lake):
    """The first reviewer went home."""
    clock = [4e9]
    with Journal(lake, now=lambda: clock[0]) as journal:
        first = ids(next_items(lake, journal, reviewer="ann", n=3, lease_s=60))
        assert not set(first) & set(ids(next_items(lake, journal, reviewer="bob", n=2)))
        clock[0] += 61
        assert ids(next_items(lake, journal, reviewer="eve", n=3)) == first


def test_leased_images_come_again_if_that_is_asked_for(lake, journal):
    """After a crash of the page, with their kind, before new ones."""
    first = next_items(lake, journal, reviewer="ann", n=2)
    again = next_items(lake, journal, reviewer="ann", n=3, resume=True)
    assert sorted(ids(again[:2])) == sorted(ids(first))
    assert {item.kind for item in again} == {"queue"}
    assert again[2].image_id not in ids(first)


def test_a_second_opinion_goes_to_somebody_else(lake, journal):
    """The disputed image first, then the unsure one; never one's own, and three at most."""
    journal.record(
        [
            answer(IDS[3], "real"),
            answer(IDS[4], "fake"),
            answer(IDS[5], "unsure"),
            answer(IDS[0], "real"),
            answer(IDS[0], "fake", "bob"),
        ]
    )
    ask = {"n": 10, "second_opinion": True}
    assert next_items(lake, journal, reviewer="ann", **ask) == []
    got = next_items(lake, journal, reviewer="eve", **ask)
    assert set(ids(got[:2])) == {IDS[0], IDS[5]}
    assert set(ids(got)) == {IDS[0], IDS[3], IDS[4], IDS[5]}
    assert {item.kind for item in got} == {"second"}
    journal.leases.release(IDS, "eve")
    assert IDS[0] not in ids(next_items(lake, journal, reviewer="bob", **ask))


def test_an_appealed_image_goes_first_to_somebody_who_has_not_answered_it(lake, journal):
    """Not to the one who answered, nor to the one who appealed; its sentence says nothing of it."""
    journal.record([answer(IDS[5], "fake")])
    open_appeal(lake, IDS[5], text="I took it", by="tom")
    for barred in ("ann", "tom"):
        assert IDS[5] not in ids(next_items(lake, journal, reviewer=barred, n=100))
        journal.leases.release(IDS, barred)
    item = next_items(lake, journal, reviewer="bob", n=2)[0]
    assert (item.image_id, item.kind) == (IDS[5], "appeal")
    assert item.why.startswith("Cleared: score 0.01")
    journal.record([answer(IDS[5], "real", "bob", kind="appeal")])
    with Journal(lake) as other:
        assert IDS[5] not in ids(next_items(lake, other, reviewer="eve", n=100))
    assert appeals(lake)["state"].to_list() == ["overturned"]


def golden(lake):
    return [Draw(kind="golden", share=0.5, image_ids=IDS[:3], is_for_each=True)]


def test_golden_items_of_the_lake_are_mixed_in_by_their_share(lake, journal):
    """With a share of 1 every image is golden while there is one."""
    set_golden(lake, IDS[3:5], label="real", by="tom")
    items = next_items(lake, journal, reviewer="ann", n=3, golden_share=1)
    assert {item.image_id for item in items[:2]} == set(IDS[3:5])
    assert [item.kind for item in items] == ["golden", "golden", "queue"]
    journal.leases.release(IDS, "ann")
    rest = next_items(lake, journal, reviewer="bob", n=100, golden_share=0)
    assert set(ids(rest)) == set(IDS) - set(IDS[3:5])


def test_drawn_images_are_mixed_in_for_each_reviewer(tmp_path):
    """About half of the images are golden while there are golden ones, in different places."""
    lake = judged_lake(tmp_path / "lake", [0.5] * 40)
    all_ids = image_ids(40)

    def draws(lake):
        return [Draw(kind="golden", share=0.4, image_ids=all_ids[:10], is_for_each=True)]

    places = {}
    with Journal(lake) as journal:
        for reviewer in ("ann", "bob"):
            kinds = []
            for _ in range(12):
                [item] = next_items(lake, journal, reviewer=reviewer, n=1, drawings=[draws])
                kinds.append(item.kind)
                assert (item.kind == "golden") == (item.image_id in all_ids[:10])
                journal.record([answer(item.image_id, reviewer=reviewer, kind=item.kind)])
            places[reviewer] = [at for at, kind in enumerate(kinds) if kind == "golden"]
            assert 2 <= len(places[reviewer]) <= 8
    assert places["ann"] != places["bob"]


def test_a_golden_item_is_answered_once_by_each(lake, journal):
    """Another reviewer gets it too."""
    seen = {}
    for reviewer in ("ann", "bob"):
        seen[reviewer] = []
        while items := next_items(lake, journal, reviewer=reviewer, n=1, drawings=[golden]):
            seen[reviewer] += ids(items)
            if len(seen[reviewer]) > 4:
                break
            journal.record([answer(items[0].image_id, reviewer=reviewer)])
        assert len(seen[reviewer]) == len(set(seen[reviewer]))
    assert set(seen["ann"]) & set(seen["bob"]) & set(IDS[:3])


def test_drawn_images_are_not_given_without_an_image_of_the_queue(tmp_path):
    """A reviewer who has answered everything is not kept busy with golden items."""
    lake = judged_lake(tmp_path / "lake", [0.5, 0.6])
    both = image_ids(2)

    def draws(lake):
        return [Draw(kind="golden", share=1, image_ids=both, is_for_each=True)]

    with Journal(lake) as journal:
        assert next_items(lake, journal, reviewer="ann", n=1, drawings=[draws]) == []


def test_an_audit_draw_needs_one_answer(lake, journal):
    """Drawn in its order, and done once anybody has answered."""

    def audit(lake):
        return [Draw(kind="audit", share=1, image_ids=[IDS[5], IDS[3]])]

    [item] = next_items(lake, journal, reviewer="ann", n=1, drawings=[audit])
    assert (item.image_id, item.kind) == (IDS[5], "audit")
    journal.record([answer(IDS[5], kind="audit")])
    [item] = next_items(lake, journal, reviewer="bob", n=1, drawings=[audit])
    assert (item.image_id, item.kind) == (IDS[3], "audit")


def test_images_that_assay_made_are_not_reviewed(lake, journal):
    """Their label is known."""
    row = dict.fromkeys(
        ("parent_id", "generator", "lora", "prompt", "negative_prompt", "seed", "steps")
    ) | {"guidance": None, "strength": None, "params": None, "license_flags": None}
    made = {"image_id": IDS[0], "method": "text", "label": "fake", "run_id": "r", "created_at": AT}
    lake.append("synthetics", [row | made], txn="made")
    assert IDS[0] not in ids(next_items(lake, journal, reviewer="ann", n=100))


def test_a_lake_that_was_only_ingested_has_a_queue(tmp_path):
    """Its images were not decided."""
    lake = images_lake(tmp_path / "lake", 2)
    with Journal(lake) as journal:
        items = next_items(lake, journal, reviewer="ann", n=5)
    assert sorted(ids(items)) == sorted(image_ids(2))
    assert {item.why for item in items} == {"Not decided yet."}


def test_an_empty_lake_has_an_empty_queue(tmp_path):
    """No table exists."""
    from assay.data.store.lake import Lake

    lake = Lake(tmp_path / "lake")
    with Journal(lake) as journal:
        assert next_items(lake, journal, reviewer="ann", n=5) == []


def test_new_images_are_found_when_the_queue_runs_out(tmp_path):
    """A run has ingested more since the ranking."""
    lake = images_lake(tmp_path / "lake", 2)
    with Journal(lake) as journal:
        assert len(next_items(lake, journal, reviewer="ann", n=5)) == 2
        more = lake.scan("images").head(1).collect().with_columns(image_id=pl.lit("d" * 64))
        lake.append("images", more, txn="more")
        assert ids(next_items(lake, journal, reviewer="ann", n=5)) == ["d" * 64]


def test_the_queue_is_ranked_again_in_the_background(lake, journal, monkeypatch):
    """An appeal that was opened since is first once the new ranking is there."""
    queue = Queue(lake, journal)
    queue.next("bob", 1)
    open_appeal(lake, IDS[5], text="I took it", by="tom")
    monkeypatch.setattr(serving, "STALE_S", 0)
    monkeypatch.setattr(serving, "REST", 0)
    queue.next("bob", 1)
    queue._ranking.join(timeout=60)
    [item] = queue.next("bob", 1)
    assert (item.image_id, item.kind) == (IDS[5], "appeal")


def test_what_is_out_of_range_is_refused(lake, journal):
    """Numbers, shares and names."""
    for wrong in ({"n": 0}, {"n": 1_001}, {"n": 1, "golden_share": 1.5}):
        with pytest.raises(ConfigError, match="not allowed; allowed"):
            next_items(lake, journal, reviewer="ann", **wrong)
    with pytest.raises(InputError, match="10,000 characters"):
        next_items(lake, journal, reviewer="a" * 10_000, n=1)
    with pytest.raises(ConfigError, match="a share of -1 is not allowed"):
        Draw(kind="audit", share=-1, image_ids=[])


def test_threads_that_ask_at_once_never_get_the_same_image(tmp_path):
    """Four reviewers in one process."""
    lake = judged_lake(tmp_path / "lake", [0.5] * 60)
    taken: list[str] = []
    with Journal(lake) as journal:
        queue = Queue(lake, journal)

        def work(name):
            for _ in range(15):
                taken.extend(ids(queue.next(name, 1)))

        threads = [threading.Thread(target=work, args=(f"r{number}",)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(taken) == sorted(image_ids(60))
