"""Names and tags of runs on a Prefect server."""

from datetime import datetime, timedelta, timezone

import pytest

from assay.flows.flow_runs.names import place_word, run_name, run_tags, task_run_name

FOUR = datetime(2026, 11, 26, 5, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("place", "word"),
    [
        ("/srv/incoming/", "incoming"),
        ("/srv/incoming/*.jpg", "incoming/*.jpg"),
        ("s3://bucket/uploads/today", "today"),
        ("s3://bucket", "bucket"),
        ("https://name:secret@host.example/", "host.example"),
        ("https://host.example/list.csv?sig=secret", "list.csv"),
        ("lake", "lake"),
        ("/srv/two\nlines", "two lines"),
    ],
)
def test_a_place_is_named_by_its_last_part(place, word):
    """The name of a folder, a bucket or a host, without secrets and control characters."""
    assert place_word(place) == word


def test_a_long_name_is_cut():
    """A list of runs has a line for each."""
    assert len(place_word("/srv/" + "a" * 300)) == 40


def test_a_run_is_named_by_verb_source_and_time():
    """The first source stands for all, the lake for none; times are UTC."""
    assert (
        run_name("moderate", ["/a/in", "/b"], "lake", FOUR) == "moderate in +1 2026-11-26 04:00 UTC"
    )
    assert run_name("score", [], "/srv/lake", FOUR) == "score lake 2026-11-26 04:00 UTC"
    listing = "/state/incoming-00000007-1a2b3c4d.sources.jsonl"
    named = run_name("moderate", [listing], "lake", FOUR)
    assert named == "moderate incoming-00000007-1a2b3c4d 2026-11-26 04:00 UTC"


def test_tags_tell_verb_lake_and_detector():
    """Runs of one lake or one detector are found by a tag."""
    assert run_tags("moderate", "s3://bucket/lake", "org/name@0123") == [
        "assay",
        "moderate",
        "lake:lake",
        "detector:name",
    ]
    assert run_tags("ingest", "lake", None) == ["assay", "ingest", "lake:lake"]


def test_task_runs_are_named_by_their_part_of_the_work():
    """A chunk of items, a shard's images, or the step alone."""
    named = task_run_name("score")
    assert named(parameters={"chunk_index": 3, "items": [0] * 1200}) == "score chunk 3: 1,200 items"
    shard = {"shard": "shards/0123456789abcdef0123.parquet", "image_ids": ["a", "b"]}
    assert named(parameters=shard) == "score shard 0123456789abcdef: 2 images"
    assert named(parameters={"chunk_index": 0, "items": [0]}) == "score chunk 0: 1 item"
    assert named(parameters={"run_id": "20261126T040000Z-0"}) == "score"
