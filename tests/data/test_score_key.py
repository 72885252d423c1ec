"""Several scores of one image: every reader uses the score of the decision, by its whole key."""

from __future__ import annotations

import dataclasses
import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from lakes import KEY, START, Made, Shot, decisions_of, lake_of

from assay.data.errors import ConfigError
from assay.data.schema import TABLES
from assay.data.score_key import ScoreKey, rows_that_count
from assay.flows.lookup import describe_image, stored_logit
from assay.flows.results.moderation import Moderation
from assay.synth.plan.plan import Parents
from assay.tasks.decide.decide_images import decide_images
from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.embeddings.rows import latest_embedded
from assay.tasks.latest_rows import keyed_decisions, last_judgement, latest_decisions
from assay.tasks.publish.publish import publish
from assay.tasks.report.write import write_report
from assay.tasks.runs.run_record import find_run, run_images
from assay.tasks.similar.search import find_similar, stored_query
from assay.tasks.synthesis.parents import candidates, choose_parents
from assay.tasks.views import highest_views, views_pending

INT8 = dataclasses.replace(KEY, precision="int8@0123456789ab")
OTHERS = [
    INT8,
    dataclasses.replace(KEY, profile="hf-clip: plain@1, 384 px bicubic, centre 384 px"),
    dataclasses.replace(KEY, weights_sha256="6" * 64),
]


def score_again(made: Made, key: ScoreKey, probs: dict[str, float], *, hours: float = 1) -> None:
    """Append scores under another key, written later."""
    rows = [
        {
            "image_id": made.ids[name],
            **key.as_row(),
            "backend": "openvino-cpu",
            "status": "scored",
            "reason": None,
            "logit": math.log(prob / (1 - prob)),
            "prob_fake": prob,
            "embedding": [1.0, 0.0],
            "run_id": "second",
            "code_version": "0.1.0",
            "scored_at": START + timedelta(hours=hours),
        }
        for name, prob in probs.items()
    ]
    made.lake.append("scores", rows, txn=f"again:{key.describe()}:{hours}")


def record_run(made: Made, key: ScoreKey, run_id: str, *, hours: float, policy: Any = None) -> None:
    """Append the row of a completed run under this key."""
    params = {
        "sources": ["/pictures"],
        "batch_id": made.batch_id,
        **key.as_row(),
        "policy_id": (policy or load_policy()).policy_id,
    }
    row = {
        "run_id": run_id,
        "flow": "moderate",
        "status": "completed",
        "params": json.dumps(params),
        "config_sha256": "0" * 64,
        "code_version": "0.1.0",
        "started_at": START + timedelta(hours=hours),
        "finished_at": START + timedelta(hours=hours, minutes=1),
        "counts": "{}",
    }
    made.lake.append("runs", [row], txn=f"run:{run_id}")


def run_under(made: Made, key: ScoreKey, run_id: str, *, hours: float) -> dict[str, int]:
    """Decide all images under a key, and record the run."""
    policy = load_policy()
    counts = decide_images(made.lake, image_ids=None, key=key, policy=policy, run_id=run_id)
    record_run(made, key, run_id, hours=hours)
    return counts


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Score and decide in fp32, under another key, and again in fp32, which writes nothing new."""
    shots = [Shot(name="a", prob=0.9, seed=1), Shot(name="b", prob=0.1, seed=2)]
    made = lake_of(tmp_path / "lake", shots)
    score_again(made, INT8, {"a": 0.2, "b": 0.8})
    assert run_under(made, INT8, "second", hours=2) == {"clear": 1, "review": 0, "flag": 1}
    assert run_under(made, KEY, "third", hours=3) == {"clear": 1, "review": 0, "flag": 1}
    return made


def by_name(made: Made, rows: pl.DataFrame, column: str) -> dict[str, Any]:
    names = {image_id: name for name, image_id in made.ids.items()}
    return {names[row["image_id"]]: row[column] for row in rows.iter_rows(named=True)}


@pytest.mark.parametrize("run_id", ["", "second", "third"])
def test_a_run_shows_the_scores_that_it_decided_by(made: Made, run_id: str) -> None:
    """Rows and report of a run use its key's scores, whatever was scored before or after."""
    run_id = run_id or made.run_id
    fp32 = run_id != "second"
    expected = {"a": 0.9, "b": 0.1} if fp32 else {"a": 0.2, "b": 0.8}
    rows = Moderation(run_id=run_id, lake=made.lake.uri).scores()
    assert by_name(made, rows, "prob_fake") == pytest.approx(expected)
    assert by_name(made, rows, "decision") == {
        "a": "flag" if fp32 else "clear",
        "b": "clear" if fp32 else "flag",
    }
    page = Path(write_report(made.lake, run_id=run_id)).read_text()
    for prob in (0.9, 0.1, 0.2, 0.8):
        assert (f'class="score">{prob:.3f}<' in page) == (prob in expected.values())
    assert ("int8@0123456789ab" in page) != fp32
    assert ("<code>openvino-cpu</code>" in page) != fp32


@pytest.mark.parametrize("other", OTHERS, ids=lambda key: key.precision + key.profile[:7])
def test_decisions_under_one_key_are_not_those_under_another(
    tmp_path: Path, other: ScoreKey
) -> None:
    """Decisions are recorded per key, with the same detector and policy."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", prob=0.9)])
    score_again(made, other, {"a": 0.1})
    assert run_under(made, other, "second", hours=2)["clear"] == 1
    assert decisions_of(made).height == 2
    for key, decision in ((KEY, "flag"), (other, "clear")):
        found = latest_decisions(made.lake, key, policy_id=load_policy().policy_id).collect()
        assert found["decision"].to_list() == [decision]
        assert ScoreKey.of(found.row(0, named=True)) == key
        assert run_under(made, key, f"again {key.precision}", hours=4)[decision] == 1
    assert decisions_of(made).height == 2


def test_decisions_of_an_older_assay_have_the_key_of_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Older decisions get the key of their recorded run; without one they have no key."""
    known = [field for field in TABLES["decisions"] if field.name not in ScoreKey.columns()[1:]]
    bare = dict.fromkeys(field.name for field in known) | {
        "detector": KEY.detector,
        "policy_id": load_policy().policy_id,
        "decided_at": START,
    }
    made = lake_of(
        tmp_path / "lake", [Shot(name="a", prob=0.9), Shot(name="b", seed=1)], is_scored=False
    )
    score_again(made, KEY, {"a": 0.9, "b": 0.1})
    with monkeypatch.context() as then:
        then.setitem(TABLES, "decisions", pa.schema(known))
        rows = [
            bare
            | {
                "image_id": made.ids["a"],
                "decision": "flag",
                "reasons": ["at_or_above_flag_threshold"],
                "run_id": "old",
            },
            bare
            | {"image_id": made.ids["b"], "decision": "review", "reasons": ["x"], "run_id": "lost"},
        ]
        made.lake.append("decisions", rows, txn="old")
    record_run(made, KEY, "old", hours=0)
    assert latest_decisions(made.lake, KEY).collect()["image_id"].to_list() == [made.ids["a"]]
    assert latest_decisions(made.lake, INT8).collect().is_empty()
    judged = run_images(made.lake, find_run(made.lake, "old")).collect()
    assert by_name(made, judged, "decision") == {"a": "flag", "b": None}
    shown = describe_image(made.lake, made.ids["a"])["decisions"]
    assert [ScoreKey.of(row) for row in shown] == [KEY]
    assert run_under(made, KEY, "new", hours=4) == {"clear": 1, "review": 0, "flag": 1}
    assert keyed_decisions(made.lake).collect()["precision"].to_list().count("fp32") == 2
    assert made.lake.scan("decisions").collect().height == 3
    assert last_judgement(made.lake).key == KEY


def test_what_is_published_is_what_the_last_run_decided_by(made: Made, tmp_path: Path) -> None:
    """Score, decision, precision and backend of one key are published in rows, lock and card."""
    result = publish(made.lake, tmp_path / "out")
    assert result.key == KEY
    rows = pl.read_parquet(
        tmp_path / "out" / "data" / "*.parquet",
        columns=["image_id", "prob_fake", "decision", *ScoreKey.columns(), "backend"],
    )
    assert by_name(made, rows, "prob_fake") == pytest.approx({"a": 0.9, "b": 0.1})
    assert by_name(made, rows, "decision") == {"a": "flag", "b": "clear"}
    assert set(rows["precision"]) == {"fp32"}
    assert set(rows["backend"]) == {"torch-cpu"}
    lock = json.loads((tmp_path / "out" / "VERSIONS.lock").read_text())
    assert ScoreKey.of(lock) == KEY
    assert "in `fp32`" in (tmp_path / "out" / "README.md").read_text()


def test_a_precision_can_be_named_to_publish(made: Made, tmp_path: Path) -> None:
    """`int8` selects the latest quantised weights; an unused precision is refused."""
    result = publish(made.lake, tmp_path / "int8", precision="int8")
    assert result.to_json()["precision"] == INT8.precision
    rows = pl.read_parquet(
        tmp_path / "int8" / "data" / "*.parquet", columns=["image_id", "prob_fake", "decision"]
    )
    assert by_name(made, rows, "prob_fake") == pytest.approx({"a": 0.2, "b": 0.8})
    assert by_name(made, rows, "decision") == {"a": "clear", "b": "flag"}
    with pytest.raises(ConfigError, match=r"precision 'bf16'; allowed: fp32; int8@0123456789ab"):
        publish(made.lake, tmp_path / "none", precision="bf16")


def test_parents_are_chosen_by_the_scores_of_the_key(made: Made) -> None:
    """Parents near the threshold are chosen by the key's own scores."""
    chosen = choose_parents(
        made.lake,
        Parents(choose="near", n=1),
        key=KEY,
        band=Band(review_at=0.9, flag_at=0.9),
        seed=0,
    )
    assert chosen[0][0] == made.ids["a"]
    found = candidates(made.lake, INT8)
    assert by_name(made, found, "prob_fake") == pytest.approx({"a": 0.2, "b": 0.8})


def test_views_and_doubts_are_of_the_key(made: Made) -> None:
    """Tile scores and adaptive views use the key's own scores only."""
    view = {
        "image_id": made.ids["b"],
        **INT8.as_row(),
        "backend": "openvino-cpu",
        "view": "tile-0",
        "left_px": 0,
        "top_px": 0,
        "side_px": 384,
        "status": "scored",
        "reason": None,
        "logit": 5.0,
        "run_id": "r",
        "scored_at": datetime.now(UTC),
    }
    made.lake.append("views", [view], txn="view")
    assert highest_views(made.lake, KEY).collect().is_empty()
    assert highest_views(made.lake, INT8).collect()["view_prob"][0] > 0.99
    assert run_under(made, KEY, "fourth", hours=5) == {"clear": 1, "review": 0, "flag": 1}
    uncertain = {
        key.precision: set(views_pending(made.lake, key, side_px=384, mode="adaptive")["image_id"])
        for key in (KEY, INT8)
    }
    # In int8, b has been looked at; a lies between 0.15 and 0.85 there, and nowhere else.
    assert uncertain == {"fp32": set(), INT8.precision: {made.ids["a"]}}


def test_neighbours_show_scores_and_decisions_of_the_embeddings_key(made: Made) -> None:
    """Neighbours use the embeddings, scores and decisions of the last run's key."""
    assert latest_embedded(made.lake) == KEY
    found = find_similar(made.lake, stored_query(made.lake, made.ids["a"]), by="embedding", k=1)
    assert (found.key, found.neighbours[0].known.decision) == (KEY, "clear")
    assert found.neighbours[0].known.prob_fake == pytest.approx(0.1)
    assert "in fp32" in found.subtitle()


def test_a_stored_logit_comes_with_its_precision(made: Made) -> None:
    """The stored logit is that of fp32 if there is one, else the only one."""

    @dataclasses.dataclass
    class Named:
        detector_id: str = KEY.detector
        weights_sha256: str = KEY.weights_sha256

    class Profiled:
        def describe(self) -> str:
            return KEY.profile

    asked: Any = (Named(), Profiled())
    logit, precision = stored_logit(made.lake, made.ids["a"], *asked) or (0, "")
    assert (round(logit, 3), precision) == (2.197, "fp32")
    assert stored_logit(made.lake, "0" * 64, *asked) is None


def test_a_score_counts_before_a_failure_and_the_latest_before_earlier_ones() -> None:
    """One row per image and key remains, with all its columns."""
    rows = pl.LazyFrame(
        {
            "image_id": ["a", "a", "a", "b", "b", "c"],
            "status": ["scored", "failed", "scored", "failed", "failed", "failed"],
            "scored_at": [2, 9, 1, 1, 2, 1],
            "logit": [0.2, None, 0.1, None, None, None],
            "reason": [None, "x", None, "old", "new", "only"],
        }
    )
    found = rows_that_count(rows).sort("image_id").collect()
    assert found["logit"].to_list() == [0.2, None, None]
    assert found["reason"].to_list() == [None, "new", "only"]


def test_a_key_is_whole_or_none() -> None:
    """A record with a missing or empty part has no key; rows with a null match none."""
    assert ScoreKey.of(KEY.as_row() | {"status": "scored"}) == KEY
    for name in ScoreKey.columns():
        assert ScoreKey.of(KEY.as_row() | {name: None}) is None
        assert ScoreKey.of(KEY.as_row() | {name: ""}) is None
        frame = pl.DataFrame(
            [KEY.as_row(), KEY.as_row() | {name: None}, KEY.as_row() | {name: "x"}]
        )
        assert frame.filter(KEY.where()).height == 1
    assert KEY.describe() == (
        f"mini@0123456789ab in fp32, weights 555555555555, prepared by {KEY.profile}"
    )
