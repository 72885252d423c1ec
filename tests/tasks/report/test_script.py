"""The report's script in Node.js: it reads what Python packs, and counts and sorts like polars."""

from __future__ import annotations

import itertools
import tomllib
from typing import Any

import numpy as np
import polars as pl
import pytest
from page_script import called, needs_node
from recounting import decided_under, recounted

from assay.tasks.decide.open_policy import open_policy
from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.evasion.table import wilson
from assay.tasks.pages.captions import score_text, short_name
from assay.tasks.pages.packed import pack
from assay.tasks.report.grid import grid_rows
from assay.tasks.report.thresholds import CELL_COLUMNS, DECISIONS, LABELS, Cells, grouped, steps_of

pytestmark = needs_node

UNPACK = "const rows = await unpack(given.columns, given.data);"


def packed_rows(rows: pl.DataFrame) -> dict[str, Any]:
    grid = grid_rows(rows)
    head = grid.head()
    return {
        "columns": head["columns"],
        "data": grid.packed.data,
        "vocabulary": head | {"flag_at": [0.65] * len(grid.domains)},
    }


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """300 rows of every decision, domain and label, ten without a score."""
    rng = np.random.default_rng(5)
    probs = [None if i < 10 else float(p) for i, p in enumerate(rng.random(300))]
    images = [
        {
            "prob_fake": prob,
            "width_px": int(rng.integers(300, 900)),
            "domain": [None, "photos", "art"][i % 3],
            "label": [None, "real", "fake", "laundered"][i % 4],
            "ai_declared": "trained" if i % 7 == 0 else None,
        }
        for i, prob in enumerate(probs)
    ]
    return decided_under(images, load_policy()).with_columns(
        source_uri=pl.format("file:///p/{}.jpg", pl.int_range(pl.len()).cast(pl.String)),
        n_bytes=pl.int_range(pl.len()) * 700,
    )


def test_packed_columns_come_back_in_the_browser() -> None:
    """Numbers of each kind, NaN and texts in any script are as they were."""
    columns = {
        "u1": np.array([0, 255], np.uint8),
        "u2": np.array([1, 65535], np.uint16),
        "u4": np.array([2, 2**32 - 1], np.uint32),
        "f4": np.array([0.65, np.nan], np.float32),
        "id": np.array([[1, 2, 3], [4, 5, 255]], np.uint8),
        "text": ["ä/日本 \u2028</script>", ""],
    }
    packed = pack(2, columns)
    found = called(
        f"{UNPACK} return Object.fromEntries("
        "Object.entries(rows).map(([name, values]) => [name, [...values]]));",
        {"columns": packed.columns, "data": packed.data},
    )
    assert found == {
        "u1": [0, 255],
        "u2": [1, 65535],
        "u4": [2, 2**32 - 1],
        "f4": [float(np.float32(0.65)), None],
        "id": [1, 2, 3, 4, 5, 255],
        "text": ["ä/日本 \u2028</script>", ""],
    }


def test_the_sliders_count_what_the_rule_decides(rows: pl.DataFrame) -> None:
    """At every tenth pair of steps, for all images and for one group, and per label."""
    policy = load_policy()
    steps = steps_of([policy.default])
    cells = Cells(policy, steps)
    cells.add(rows.with_columns(view_prob=pl.col("prob_fake").shuffle(seed=3)))
    bands = dict.fromkeys(rows["domain"].unique(), policy.default)
    groups, by_group = grouped(cells.total(), steps, bands)
    pairs = list(itertools.combinations_with_replacement(range(0, len(steps), 9), 2))
    packed = pack(by_group.height, {name: by_group[name].to_numpy() for name in CELL_COLUMNS})
    found = called(
        f"{UNPACK} return given.pairs.map((pair) => [recount(rows, () => pair, 4),"
        " recount(rows, () => pair, 4, 1)]).concat([[recount(rows, () => null, 4)]]);",
        {"columns": packed.columns, "data": packed.data, "pairs": pairs},
    )
    one = by_group.filter(group=1)
    decided = rows["decision"].value_counts().sort("decision").rows()
    assert counted(found.pop()[0]["all"]) == decided
    for pair, (whole, part) in zip(pairs, found, strict=True):
        edges = [pair] * len(groups)
        assert counted(whole["all"]) == recounted(by_group, edges)
        assert counted(part["all"]) == recounted(one, edges)
        for label in range(len(LABELS)):
            assert counted(whole["byLabel"][label]) == recounted(
                by_group.filter(label=label), edges
            )


def counted(counts: list[int]) -> list[tuple[str, int]]:
    return sorted((name, n) for name, n in zip(DECISIONS, counts, strict=True) if n)


def test_intervals_are_those_of_scipy() -> None:
    """Wilson's interval of the script is that of the tables."""
    cases = [(0, 0), (0, 7), (7, 7), (1, 4), (144, 183), (5, 100_000)]
    found = called("return given.map(([k, n]) => wilson(k, n));", cases)
    for (k, n), interval in zip(cases, found, strict=True):
        assert interval == pytest.approx(wilson(k, n), abs=1e-12)


def test_precision_counts_fakes_among_the_labelled_and_flagged() -> None:
    """Laundered images are photographs: flagged, they lower precision."""
    by_label = [[10, 0, 2], [3, 1, 6], [0, 0, 4], [50, 50, 50]]
    found = called("return labelledShares(given, ['real', 'fake', 'laundered', 'none']);", by_label)
    assert [(k, n) for _, k, n in found] == [(6, 12), (6, 10), (2, 12), (4, 4)]
    assert called("return shareText(6, 12);", None) == "50 % (95 % CI 25 to 75 %; 6 of 12)"
    assert called("return ordered(60, 40, 'review');", None) == [60, 60]
    assert called("return ordered(60, 40, 'flag');", None) == [40, 40]


@pytest.mark.parametrize(
    ("filters", "condition"),
    [
        ({}, pl.lit(value=True)),
        ({"low": 0.25, "high": 0.5}, pl.col("prob_fake").is_between(0.25, 0.5)),
        ({"label": 1}, pl.col("label") == "fake"),
        ({"label": 3}, pl.col("label").is_null()),
        ({"domain": "art"}, pl.col("domain") == "art"),
        ({"reason": "declared_ai"}, pl.col("reasons").list.contains("declared_ai")),
        ({"decisions": [1]}, pl.col("decision") == "review"),
        ({"text": "/P/12"}, pl.col("source_uri").str.contains("/p/12")),
        ({"text": "0000000000"}, pl.lit(value=True)),
        (
            {"againstLabel": True},
            ((pl.col("decision") == "flag") & pl.col("label").is_in(["real", "laundered"]))
            | ((pl.col("decision") == "clear") & (pl.col("label") == "fake")),
        ),
        ({"low": 0.2, "text": "9", "label": 0}, None),
    ],
)
def test_filters_find_what_polars_finds(
    rows: pl.DataFrame, filters: dict[str, Any], condition: pl.Expr | None
) -> None:
    """Each filter alone, and three at once."""
    if condition is None:
        condition = (
            (pl.col("prob_fake") >= 0.2)
            & pl.col("source_uri").str.contains("9")
            & (pl.col("label") == "real")
        )
    given = packed_rows(rows)
    vocabulary = given["vocabulary"]
    numbers = dict(filters)
    if "domain" in filters:
        numbers["domain"] = vocabulary["domains"].index(filters["domain"])
    if "reason" in filters:
        numbers["reason"] = [word for word, _ in vocabulary["reasons"]].index(filters["reason"])
    found = called(
        f"{UNPACK} const filters = {{ ...EVERYTHING, ...given.filters }};"
        "if (given.filters.decisions) filters.decisions = new Set(given.filters.decisions);"
        "return fitting(rows, filters, given.vocabulary, new Map())"
        ".map((row) => rows.address[row]);",
        given | {"filters": numbers},
    )
    expected = rows.filter(condition)["source_uri"].to_list()
    assert sorted(found) == sorted(expected)
    assert expected


@pytest.mark.parametrize(
    ("order", "by"),
    [
        ("highest", -pl.col("prob_fake")),
        ("lowest", pl.col("prob_fake")),
        ("nearest", (pl.col("prob_fake").cast(pl.Float64) - 0.65).abs()),
        ("address", pl.col("source_uri")),
        ("kilobytes", -(pl.col("n_bytes") / 1000).ceil()),
        ("pixels", -pl.col("width_px") * pl.col("height_px")),
    ],
)
def test_orders_are_those_of_polars(rows: pl.DataFrame, order: str, by: pl.Expr) -> None:
    """Ties go by address, and images without a score come last."""
    found = called(
        f"{UNPACK} const all = fitting(rows, EVERYTHING, given.vocabulary, new Map());"
        "return sorted(all, given.order, rows, given.vocabulary).map((row) => rows.address[row]);",
        packed_rows(rows) | {"order": order},
    )
    expected = rows.sort(by, "source_uri", nulls_last=True)["source_uri"].to_list()
    assert found == expected


def test_names_and_scores_are_written_as_on_the_rest_of_the_page() -> None:
    """Percent-encoded direction marks do not come back as such."""
    addresses = [
        "file:///a/b%20c.jpg",
        "zip:///a/x.zip!inner/d.jpg",
        "parquet:///a/x.parquet!17",
        "https://h.example/p/q.png?size=3",
        "https://h.example",
        "file:///a/x%E2%80%AEgpj.exe",
        "file:///a/50%.jpg",
        "",
    ]
    found = called("return given.map(shortName);", addresses)
    assert found == [short_name(address) for address in addresses]
    scores = [0, 0.0001, 0.5, 0.99999, 1]
    assert called("return given.map(scoreText);", scores) == [score_text(p) for p in scores]
    assert called("return scoreText(NaN);", None) == score_text(None)
    assert called("return [999, 1500].map(kilobytesText);", None) == ["999 kB", "1.5 MB"]


def test_the_policy_lines_are_a_policy_with_the_thresholds_of_the_sliders() -> None:
    """The lines are read back as the policy file that they are, whole numbers too."""
    template = open_policy(load_policy(), detector="mini@0123456789ab", domain="art")
    text = called("return withThresholds(given, 0.023, 1);", template)
    rules = policy_from_dict(tomllib.loads(text), source="page")
    assert rules.band("mini@0123456789ab", "art")[0] == Band(review_at=0.023, flag_at=1.0)
    assert rules.default == load_policy().default


def test_thresholds_are_shown_as_in_the_drawing() -> None:
    """With at most six digits, as Python's `g` writes numbers."""
    values = [0.5, 0.9840938448905945, 0.023, 1.0, 0.0]
    assert called("return given.map(shown);", values) == [f"{value:g}" for value in values]
