"""Audits of a lake: drawn again by the same seed, mixed into the queue, reported from answers."""

from __future__ import annotations

import csv
import json
import os
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from lakes import START, Made, Shot, lake_of, reviewed, synthesised
from processes import forked_command

from assay.data.errors import ConfigError, InputError, StoreError
from assay.flows.deciding.decide_again import decide_again, shadow
from assay.tasks.audit.audits import audit_json, audit_text, draw_audit, open_draws, read_audit
from assay.tasks.audit.sample import draw, sizes
from assay.tasks.decide.policy_file import load_policy
from assay.tasks.review.journal import Journal
from assay.tasks.review.queue import next_items


def test_cleared_images_are_drawn_at_their_least_share() -> None:
    """1 % of 100,000 cleared is more than half of 300; small strata are drawn whole."""
    found = sizes({"clear": 100_000, "review": 1000, "flag": 3}, n_images=300, cleared_share=0.01)
    assert found == {"clear": 1000, "review": 75, "flag": 3}


def test_draw_depends_on_seed_and_ids_only() -> None:
    """Another order of the rows gives the same sample, another seed another one."""
    rows = pl.DataFrame({"image_id": [f"{i}" for i in range(500)], "decision": ["clear"] * 500})
    one = draw(rows, {"clear": 50}, seed=1)
    assert one.equals(draw(rows.reverse(), {"clear": 50}, seed=1))
    assert not one.equals(draw(rows, {"clear": 50}, seed=2))
    assert one["image_id"].n_unique() == 50


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Twelve cleared, four reviewed and four flagged images."""
    probs = [0.1] * 12 + [0.5] * 4 + [0.9] * 4
    shots = [Shot(name=f"{i}.jpg", prob=prob, seed=i) for i, prob in enumerate(probs)]
    made = lake_of(tmp_path_factory.mktemp("lake"), shots)
    decide_again(made.lake, shadow(made.lake, load_policy()))
    return made


def test_report_follows_the_answers(made: Made) -> None:
    """All images are drawn; two of the flagged are fake, one is disputed, the rest unknown."""
    audit_id, sample = draw_audit(made.lake, n_images=100, cleared_share=1)
    assert sample.height == 20
    for name, label, reviewer in (
        ("16.jpg", "fake", "ann"),
        ("17.jpg", "fake", "ann"),
        ("18.jpg", "real", "ann"),
        ("18.jpg", "fake", "bob"),
    ):
        reviewed(made, name, label, reviewer)
    audit = read_audit(made.lake, audit_id)
    flagged = audit.strata["flag"]
    assert (flagged.n_all, flagged.n_labelled, flagged.n_fake) == (4, 2, 2)
    assert audit.n_disputed == 1
    assert audit.estimate.precision is not None
    assert (audit.estimate.precision.low, audit.estimate.precision.high) == (0.5, 1)


def test_nothing_is_estimated_where_nobody_has_answered(tmp_path: Path) -> None:
    """One of two flagged is answered, no cleared one: the precision has a value, recall limits."""
    shots = [Shot(name=f"{i}.jpg", prob=0.1 + 0.8 * (i % 2), seed=i) for i in range(4)]
    made = lake_of(tmp_path / "lake", shots)
    draw_audit(made.lake)
    assert "prevalence  unknown (0.0 to 100.0 %)" in audit_text(read_audit(made.lake))
    reviewed(made, "1.jpg", "fake")
    audit = read_audit(made.lake)
    text, values = audit_text(audit), audit_json(audit)
    assert "precision   100.0 % (50.0 to 100.0 %) of the flagged images are fake" in text
    assert "recall      unknown (" in text
    assert "no answer   about any drawn image of: clear" in text
    assert (values["fakes"]["clear"]["value"], values["fakes"]["flag"]["value"]) == (None, 1.0)
    assert (values["precision"]["value"], values["recall"]["value"]) == (1.0, None)
    assert (values["precision"]["low"], values["recall"]["high"]) == (0.5, 1.0)


def test_drawn_images_come_into_the_queue_as_audit(made: Made) -> None:
    """Also where nothing else is left; the kind is in the item, not in its words."""
    draw_audit(made.lake, n_images=8, seed=3)
    (drawn,) = open_draws(made.lake)
    with Journal(made.lake) as journal:
        items = next_items(
            made.lake, journal, reviewer="eve", n=10, drawings=(open_draws,), golden_share=0
        )
    kinds = {item.kind for item in items}
    assert "audit" in kinds
    assert {item.image_id for item in items if item.kind == "audit"} <= set(drawn.image_ids)


def test_a_month_is_audited_whatever_was_seen_later(made: Made) -> None:
    """Images with a sighting between two times, the later one left out."""
    third, ninth = (START + timedelta(seconds=n) for n in (3, 9))
    _, sample = draw_audit(made.lake, since=third, until=ninth, n_images=100, is_stored=False)
    seen = {made.ids[f"{n}.jpg"] for n in range(3, 9)}
    assert set(sample["image_id"]) == seen
    n_before = made.lake.n_rows("audits")
    with pytest.raises(InputError, match=r"seen until 2026-03-01 12:00 UTC; its images were seen"):
        draw_audit(made.lake, until=START)
    with pytest.raises(ConfigError, match="name an earlier start"):
        draw_audit(made.lake, since=ninth, until=third)
    assert made.lake.n_rows("audits") == n_before


def test_images_that_assay_made_are_no_part_of_an_audit(tmp_path: Path) -> None:
    """They did not come in; an audit of a run has all that the run decided."""
    made = lake_of(tmp_path / "lake", [Shot(name=f"{i}.jpg", seed=i) for i in range(4)])
    synthesised(made, "3.jpg", parent="0.jpg")
    whole = {"n_images": 100, "cleared_share": 1, "is_stored": False}
    _, sample = draw_audit(made.lake, **whole)  # type: ignore[arg-type]
    assert set(sample["image_id"]) == {made.ids[f"{n}.jpg"] for n in range(3)}
    _, sample = draw_audit(made.lake, run_id=made.run_id, **whole)  # type: ignore[arg-type]
    assert set(sample["image_id"]) == set(made.ids.values())


def test_an_audit_whose_sheet_cannot_be_written_is_not_recorded(made: Made) -> None:
    """Else the images of a failed command would wait in the queue."""
    before = made.lake.scan("audits").collect().height

    def full(_: pl.DataFrame) -> None:
        raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        draw_audit(made.lake, n_images=2, write_sheet=full)
    assert made.lake.scan("audits").collect().height == before


def test_numbers_out_of_range_and_unknown_audits_are_refused(made: Made) -> None:
    """The message names what is allowed, or what the lake has."""
    with pytest.raises(ConfigError, match="allowed"):
        draw_audit(made.lake, cleared_share=2)
    for seed in (-1, 2**63):
        with pytest.raises(ConfigError, match=r"allowed: 0 to 2\^63 - 1"):
            draw_audit(made.lake, seed=seed)
    audit_id, _ = draw_audit(made.lake, n_images=1, seed=4)
    with pytest.raises(InputError, match=f"it has: .*{audit_id}"):
        read_audit(made.lake, "a-none")


@pytest.mark.xdist_group("forked commands")
def test_sheet_is_labelled_outside_and_imported(made: Made, tmp_path: Path) -> None:
    """The CSV has no score and no decision; labels come back by `assay audit import`."""
    lake = ("--lake", made.lake.uri, "--json")

    def assay(*arguments: object) -> dict[str, object]:
        done = forked_command(*arguments, *lake, cwd=tmp_path, env=os.environ)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    drawn = assay("audit", "draw", "--n", 100, "--cleared-share", 1, "--to", "sheet.csv")
    with (tmp_path / "sheet.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"image_id", "source_uri", "label", "reviewer", "note"}
    assert len(rows) == 20
    with (tmp_path / "labelled.csv").open("w") as file:
        sheet = csv.DictWriter(file, list(rows[0]))
        sheet.writeheader()
        sheet.writerows(row | {"label": "real", "reviewer": "zoe"} for row in rows)
    assay("audit", "import", "labelled.csv")
    report = assay("audit", "report", drawn["audit_id"])
    assert report["strata"]["clear"] == {"images": 12, "drawn": 12, "labelled": 12, "fake": 0}  # type: ignore[index]
