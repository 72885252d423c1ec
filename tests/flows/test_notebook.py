"""Notebooks: a result that draws itself safely and small."""

from __future__ import annotations

import dataclasses
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from lakes import Made, Shot, lake_of

from assay.flows.results.moderation import Moderation

MAX_CELL_BYTES = 300_000


def result_of(made: Made, **changes: Any) -> Moderation:
    row = made.lake.scan("runs").collect().row(-1, named=True)
    counts = json.loads(row["counts"])
    values = counts | {"batch_id": made.batch_id, "report": "/lake/reports/x.html"} | changes
    return Moderation(**values)


def tags_of(html: str) -> list[tuple[str, dict[str, str | None]]]:
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(html)
    return seen


def test_a_result_tells_its_counts_and_what_to_do_next(tmp_path: Path) -> None:
    """About twelve lines, ending with paths and commands that can be pasted."""
    made = lake_of(
        tmp_path / "lake",
        [Shot(name="a", prob=0.1), Shot(name="b", prob=0.9, seed=1)],
        rejected=[("c.txt", "empty", "0 bytes")],
    )
    result = result_of(made, lake="/my lake")
    lines = str(result).splitlines()
    assert lines[0] == f"run {made.run_id}: 3 items in 12.5 s"
    assert "stored              2   duplicates 0, rejected 1; 0 of them unchanged" in lines
    assert "scored              2   already scored 0, failed 0, 4.0 images/s" in lines
    assert "  clear             1    50.0%" in lines
    assert "report      /lake/reports/x.html" in lines
    assert lines[-1] == "  assay publish --to dataset --lake '/my lake'"
    assert 8 <= len(lines) <= 13


def test_an_ingest_alone_leads_to_scoring() -> None:
    """Without decisions there is nothing to show or to publish yet."""
    result = Moderation(run_id="r", lake="/x", batch_id="b", items=1, stored=1)
    assert "1 item in" in str(result)
    assert str(result).splitlines()[-1] == "  assay score --lake /x"
    assert "all images of the lake" in str(Moderation(run_id="r", lake="x"))


def test_the_json_object_holds_every_count() -> None:
    """All fields, as plain values."""
    result = Moderation(run_id="r", lake="x", items=3, decisions={"clear": 1})
    again = json.loads(json.dumps(result.to_json()))
    assert again["run_id"] == "r"
    assert again["decisions"] == {"clear": 1}
    assert set(again) >= {
        "lake", "items", "stored", "duplicates", "rejected", "scored", "failed", "seconds",
        "images_per_second", "report",
    }  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.items = 4  # type: ignore[misc]


def test_scores_are_a_frame_with_the_highest_first(tmp_path: Path) -> None:
    """One row an image; what was not scored comes last."""
    made = lake_of(
        tmp_path / "lake",
        [
            Shot(name="low", prob=0.1),
            Shot(name="none", prob=None, seed=1),
            Shot(name="high", prob=0.9, seed=2),
        ],
        copies=[("copy", "high")],
    )
    frame = result_of(made).scores()
    assert frame.columns == ["image_id", "source_uri", "prob_fake", "decision", "reasons"]
    assert frame["image_id"].to_list() == [made.ids[name] for name in ("high", "low", "none")]
    assert frame["decision"].to_list() == ["flag", "clear", "review"]
    assert frame["reasons"].to_list()[2] == ["not_scored"]


def test_a_cell_is_small_inert_and_escaped(tmp_path: Path) -> None:
    """At most 24 veiled pictures, under 300 kB, and no name that does anything."""
    attack = "<script>alert(1)</script>"
    made = lake_of(
        tmp_path / "lake",
        [Shot(name=f"{i}{attack}", prob=(i + 0.5) / 40, seed=i) for i in range(40)],
    )
    html = result_of(made)._repr_html_()
    assert len(html.encode()) < MAX_CELL_BYTES
    tags = tags_of(html)
    assert "script" not in {tag for tag, _ in tags}
    assert sum(tag == "details" for tag, _ in tags) == 24
    for tag, attrs in tags:
        assert not any(name.startswith("on") for name in attrs)
        if tag == "details":
            assert "open" not in attrs
        if "src" in attrs:
            assert str(attrs["src"]).startswith("data:image/webp;base64,")
    assert "flag from 0.65" in html


def test_a_cell_of_a_run_with_nothing_scored_or_a_lake_gone_still_draws(tmp_path: Path) -> None:
    """The counts are true whatever became of the rows."""
    made = lake_of(tmp_path / "lake", [], rejected=[("a", "empty", "0 bytes")])
    assert "<b>1 item</b>" in result_of(made)._repr_html_()
    gone = result_of(made, lake=str(tmp_path / "gone"))._repr_html_()
    assert gone.startswith("<pre>run ")
    assert "there is no lake at" in gone
