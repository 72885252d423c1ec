"""Figures of a run from memory: those that the report gathers from the tables."""

import json

import lakes
import polars as pl
import pytest
from lakes import Shot

from assay.tasks.grid.run_figures import figures_of, items_of
from assay.tasks.grid.snapshots import Snapshots
from assay.tasks.report.facts import gather
from assay.tasks.report.sections import Collector
from assay.tasks.runs.run_record import find_run

SHOTS = [
    Shot(name="a.jpg", prob=0.05, seed=1, domain="news", label="real"),
    Shot(name="b.jpg", prob=0.4, seed=2, domain="art", label="fake"),
    Shot(name="c.jpg", prob=0.9, seed=3, domain="art", size=(100, 100)),
    Shot(name="d.jpg", prob=0.99, seed=4, ai_declared="trainedAlgorithmicMedia", label="fake"),
    Shot(name="e.jpg", prob=None, seed=5),
    Shot(name="f.jpg", prob=0.7, seed=6, label="laundered"),
    Shot(name="g.jpg", prob=0.2, seed=7),
]
REJECTED = [("file:///in/x.txt", "not_an_image", "text"), ("file:///in/y.jpg", "truncated", "")]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a run of seven images, one with a tile that scores high, and two rejected items."""
    folder = tmp_path_factory.mktemp("figures") / "lake"
    made = lakes.lake_of(folder, SHOTS, rejected=REJECTED, copies=[("file:///in/z.jpg", "a.jpg")])
    lakes.reviewed(made, "g.jpg", "real")
    tile = lakes.KEY.as_row() | {
        "image_id": made.ids["g.jpg"],
        "backend": "torch-cpu",
        "view": "left",
        "left_px": 0,
        "top_px": 0,
        "side_px": 440,
        "status": "scored",
        "reason": None,
        "logit": 3.0,
        "run_id": made.run_id,
        "scored_at": lakes.START,
    }
    made.lake.append("views", [tile], txn="views")
    return made


def test_figures_are_those_of_the_report(made):
    """Counts, reasons, labels, scores by label, and what decides at other thresholds."""
    run = find_run(made.lake, made.run_id)
    policy = run.policy()
    kept = Snapshots(made.lake)
    figures = figures_of(made.lake, run, policy, kept.get(made.run_id).table)
    kept.close()
    collector = Collector(made.lake, run, policy)
    facts = gather(made.lake, run, policy, also=collector.add)
    sections = collector.sections([], all_up_to=0)
    for name in ("n_images", "n_scored", "decisions", "reasons", "confusion", "histogram"):
        assert getattr(figures, name) == getattr(facts, name), name
    assert figures.failures == facts.failures
    assert figures.groups == sections.groups
    assert figures.own == sections.own
    assert figures.steps.tolist() == sections.steps.tolist()
    assert figures.cells.equals(sections.cells)
    assert figures.cells.filter(pl.col("view") > 0)["n"].sum() == 1
    items = items_of(made.lake, run)
    assert items.statuses == {"stored": 7, "duplicate": 1, "rejected": 2}
    assert items.rejected == facts.rejected
    assert json.dumps(figures.cells.to_dict(as_series=False))


def test_a_run_without_scores_has_no_figures_of_them(tmp_path):
    """An ingest alone: images, and nothing decided."""
    made = lakes.lake_of(tmp_path / "lake", SHOTS[:2], is_scored=False)
    run = find_run(made.lake, made.run_id)
    kept = Snapshots(made.lake)
    figures = figures_of(made.lake, run, run.policy(), kept.get(made.run_id).table)
    kept.close()
    assert (figures.n_images, figures.n_scored) == (2, 0)
    assert figures.decisions == {"clear": 0, "review": 0, "flag": 0}
    assert figures.groups == []
    assert figures.failures == {}
