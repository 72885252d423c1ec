"""Two runs at once on one lake: each row is committed by one of them, whoever did the work.

The second run happens, from beginning to end, while the first one is in the middle of its work:
after it has looked for what is left to do, and before it commits.
"""

import threading

import factories
import ingesting
import lakes
import polars as pl
import pytest
from stop_at import StopAt
from tiny_models import MINI_ON_TORCH, timm_tensors, write_timm

from assay.data.cache import cache_folder
from assay.data.store.lake import Lake
from assay.flows import judging, progress, taking_turns
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.plan.plan_file import plan_of_dict
from assay.tasks.append_missing import append_missing
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy_file import load_policy

SIZE = (96, 80)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_timm(tmp_path_factory.mktemp("tiny"), timm_tensors()))


@pytest.fixture(autouse=True)
def without_turns(monkeypatch):
    """As runs on two machines, which do not wait for each other's work."""
    monkeypatch.setattr(taking_turns, "MAX_WAIT_S", 0.0)


def pictures_in(folder, seeds):
    files = {f"{seed}.jpg": factories.jpeg(seed=seed, size=SIZE) for seed in seeds}
    return ingesting.put(folder, files)


def with_another_in_the_middle(first, second, *, at=2):
    """Return the results of two runs; the second runs while the first is at its n-th image."""
    other = []

    def meanwhile():
        with progress.watched(progress.Silent()):
            other.append(second())

    with progress.watched(StopAt(at, meanwhile)):
        return first(), *other


def height_and_distinct(lake, table, *columns):
    rows = lake.scan(table).select(columns).collect()
    return rows.height, rows.n_unique()


@pytest.mark.parametrize("seeds", [range(6), range(3, 9)])
def test_moderate_twice_at_once(tmp_path, model, seeds):
    """Of the same source, or of two that share half of their pictures: one row for each."""
    lake = Lake(tmp_path / "lake")
    requests = [
        Request(
            lake=lake.uri,
            sources=(str(pictures_in(tmp_path / f"{min(each)}", each)),),
            detector=model,
            backend="torch",
        )
        for each in (range(6), seeds)
    ]
    first, second = with_another_in_the_middle(lambda: run(requests[0]), lambda: run(requests[1]))
    n_pictures = len({*range(6), *seeds})
    assert height_and_distinct(lake, "images", "image_id") == (n_pictures, n_pictures)
    assert height_and_distinct(lake, "scores", "image_id") == (n_pictures, n_pictures)
    assert height_and_distinct(lake, "decisions", "image_id") == (n_pictures, n_pictures)
    n_items = 6 if requests[0] == requests[1] else 12
    sightings = lake.scan("sightings").collect()
    assert sightings.height == sightings.select("batch_id", "source_uri").n_unique() == n_items
    assert sightings.filter(status="stored").height == n_pictures
    # What each tells of itself adds up to what is there.
    assert first.scored + second.scored == n_pictures
    assert (second.scored, first.already_scored) == (len(seeds), 6 - first.scored)
    assert second.items == first.items == 6


def test_score_twice_at_once(tmp_path, model):
    """Scores, tiles and decisions of three stored pictures, each once."""
    lake = Lake(tmp_path / "lake")
    run(
        Request(lake=lake.uri, sources=(str(pictures_in(tmp_path / "in", range(3))),)),
        flow="ingest",
    )
    request = Request(lake=lake.uri, detector=model, backend="torch", views="tiles")

    def score():
        return run(request, flow="score")

    first, second = with_another_in_the_middle(score, score)
    assert height_and_distinct(lake, "scores", "image_id") == (3, 3)
    assert height_and_distinct(lake, "decisions", "image_id") == (3, 3)
    n_views, n_distinct = height_and_distinct(lake, "views", "image_id", "view")
    assert n_views == n_distinct > 3
    assert (first.scored, first.already_scored, second.scored) == (0, 3, 3)


def test_tiles_twice_at_once(tmp_path, model):
    """The second run begins when all scores are there and the first looks at tiles."""
    lake = Lake(tmp_path / "lake")
    run(
        Request(
            lake=lake.uri,
            sources=(str(pictures_in(tmp_path / "in", range(3))),),
            detector=model,
            backend="torch",
        )
    )
    request = Request(lake=lake.uri, detector=model, backend="torch", views="tiles")
    first, second = with_another_in_the_middle(lambda: run(request), lambda: run(request), at=1)
    n_views, n_distinct = height_and_distinct(lake, "views", "image_id", "view")
    assert n_views == n_distinct == first.views + second.views
    assert first.views == 0


def test_augment_twice_at_once(tmp_path):
    """Two laundered pictures of one photo: each with one image, one sighting and one lineage."""
    lake = Lake(tmp_path / "lake")
    run(
        Request(
            lake=lake.uri,
            sources=(str(pictures_in(tmp_path / "real", [1])),),
            label_from="parent-folder",
        ),
        flow="ingest",
    )
    request = Request(lake=lake.uri, **MINI_ON_TORCH)
    plan = plan_of_dict(
        {"make": [{"method": "launder", "condition": ["jpeg-50", "half"]}]}, folder=tmp_path
    )
    first, second = with_another_in_the_middle(
        lambda: augment(request, plan), lambda: augment(request, plan)
    )
    assert height_and_distinct(lake, "synthetics", "image_id") == (2, 2)
    assert height_and_distinct(lake, "images", "image_id") == (3, 3)
    assert height_and_distinct(lake, "sightings", "batch_id", "source_uri") == (3, 3)
    assert height_and_distinct(lake, "scores", "image_id") == (2, 2)
    assert (first.made, first.known, second.made) == (0, 2, 2)


def test_decide_twice_at_once(tmp_path, monkeypatch):
    """Of two that find three pictures undecided, the one that commits second has nothing to add."""
    made = lakes.lake_of(tmp_path, [lakes.Shot(name=f"{n}", seed=n) for n in range(3)])
    policy = load_policy()
    key = lakes.KEY
    real = Lake.append
    seen = []

    def append(lake, table, *rows, **more):
        if not seen:
            seen.append(table)
            decide_images(lake, image_ids=None, key=key, policy=other, run_id="second")
        return real(lake, table, *rows, **more)

    other = policy.widened(0.5)
    monkeypatch.setattr(Lake, "append", append)
    decide_images(made.lake, image_ids=None, key=key, policy=other, run_id="first")
    assert seen == ["decisions"]
    rows = made.lake.scan("decisions").filter(policy_id=other.policy_id).collect()
    assert rows["image_id"].n_unique() == rows.height == 3
    assert rows["run_id"].unique().to_list() == ["second"]


def review(image_id):
    return {
        "image_id": image_id,
        "label": "real",
        "reviewer": "ann",
        "note": None,
        "reviewed_at": lakes.START,
    }


def test_writers_that_found_the_same_missing_append_it_once(tmp_path):
    """Four threads with the same twenty rows and one of its own each."""
    lake = Lake(tmp_path)
    start = threading.Barrier(4)
    committed = []

    def work(writer):
        rows = [review(f"{n}") for n in range(20)] + [review(f"own {writer}")]
        start.wait()
        committed.append(
            append_missing(
                Lake(lake.uri),
                "reviews",
                rows,
                since=None,
                name=lambda row: row["image_id"],
                taken=lambda came: set(came.collect()["image_id"]),
                txn=f"{writer}",
            )
        )

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert height_and_distinct(lake, "reviews", "image_id") == (24, 24)
    assert sorted(map(len, committed)) == [1, 1, 1, 21]


def test_rows_between_two_versions(tmp_path):
    """Those of the commits after the first and up to the second, and all without a first."""
    lake = Lake(tmp_path / "a lake")
    for n in range(3):
        lake.append("reviews", [review(f"{n}")], txn=f"{n}")

    def ids(since, version):
        rows = lake.added("reviews", since, version)
        assert rows.collect_schema() == lake.scan("reviews").collect_schema()
        return sorted(rows.select(pl.col("image_id")).collect()["image_id"])

    assert ids(1, 3) == ["1", "2"]
    assert ids(2, 2) == []
    assert ids(None, 2) == ["0", "1"]
    assert ids(None, None) == ["0", "1", "2"]


def test_two_runs_on_one_machine_share_the_work(tmp_path, model, monkeypatch):
    """Of the same source at the same moment: each picture goes through the network once."""
    monkeypatch.setattr(taking_turns, "MAX_WAIT_S", 60.0)
    request = Request(
        lake=str(tmp_path / "lake"),
        sources=(str(pictures_in(tmp_path / "in", range(6))),),
        detector=model,
        backend="torch",
    )
    detector = judging.detector_of(request)
    n_passed = []
    forward = detector.forward
    monkeypatch.setattr(
        detector, "forward", lambda pixels: (n_passed.append(len(pixels)), forward(pixels))[1]
    )
    start = threading.Barrier(2)
    results = []

    def work():
        start.wait()
        results.append(run(request))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(n_passed) == 6
    assert sorted(result.scored for result in results) == [0, 6]
    assert sorted(result.unchanged for result in results) == [0, 6]
    assert not list(cache_folder("turns").iterdir())
