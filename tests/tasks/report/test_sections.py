"""Grid, domains, mistakes and pairs: the rows of the tables, within their limits."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from html_page import Page, assert_is_well_formed
from lakes import Made, Shot, lake_of, reviewed, synthesised
from unpacking import unpacked

from assay.flows.cli import app
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.report.commands import next_commands, review_command
from assay.tasks.report.domains import MAX_DOMAINS, Domains
from assay.tasks.report.facts import gather
from assay.tasks.report.grid import MAX_BYTES, grid_rows
from assay.tasks.report.pairs import Pairs
from assay.tasks.report.sample import RowSample
from assay.tasks.report.sections import Collector, Sections
from assay.tasks.report.thresholds import DECISIONS, LABELS
from assay.tasks.report.write import write_report
from assay.tasks.runs.run_record import find_run, run_images

KEPT = {"image_id": pl.String, "decision": pl.String, "domain": pl.String}


def sections_of(made: Made, *, all_up_to: int = 80) -> Sections:
    run = find_run(made.lake, made.run_id)
    collector = Collector(made.lake, run, run.policy())
    facts = gather(made.lake, run, run.policy(), also=collector.add)
    return collector.sections(facts.highest, all_up_to=all_up_to)


def rows_of(n: int, *, domains: int = 1) -> pl.DataFrame:
    """Return rows of the sample: one in ten is flagged, half of the rest is in domain d0."""
    rng = np.random.default_rng(n)
    number = pl.int_range(n, eager=True)
    return pl.DataFrame(
        {
            "image_id": [f"{x:016x}" * 4 for x in rng.permutation(n).tolist()],
            "decision": (number % 10 == 0).replace_strict({True: "flag", False: "clear"}),
            "domain": [f"d{i % domains}" for i in range(n)],
        }
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Five images in two domains, one of them without a score, two against their labels."""
    made = lake_of(
        tmp_path_factory.mktemp("lake") / "lake",
        [
            Shot(name="a.jpg", seed=1, prob=0.9, label="real", domain="art"),
            Shot(name="b.jpg", seed=2, prob=0.8, label="fake", domain="art"),
            Shot(name="c.jpg", seed=3, prob=0.2, label="fake", domain="photos"),
            Shot(name="d.jpg", seed=4, prob=0.5, domain="photos"),
            Shot(name="e.jpg", seed=5, prob=None),
        ],
    )
    reviewed(made, "d.jpg", "unsure")
    return made


def test_the_grid_has_the_rows_of_the_tables(made: Made) -> None:
    """Scores, decisions, labels, domains, reasons and sizes are those that the lake has."""
    grid = sections_of(made).grid
    found = unpacked(grid.packed)
    rows = run_images(made.lake, find_run(made.lake, made.run_id)).sort("source_uri").collect()
    assert found["address"] == rows["source_uri"].to_list()
    assert [bytes(row).hex() for row in found["id"]] == [i[:12] for i in rows["image_id"]]
    np.testing.assert_array_equal(np.ravel(found["prob"]), rows["prob_fake"].to_numpy())
    named = [
        {
            "decision": DECISIONS[int(found["decision"][i, 0])],
            "label": LABELS[int(found["label"][i, 0])],
            "domain": grid.domains[int(found["domain"][i, 0])],
            "reasons": [
                w for bit, w in enumerate(grid.reasons) if int(found["reasons"][i, 0]) >> bit & 1
            ],
        }
        for i in range(5)
    ]
    assert named == [
        {
            "decision": row["decision"],
            "label": row["label"] or "no label",
            "domain": row["domain"] or "no domain",
            "reasons": [word for word in grid.reasons if word in row["reasons"]],
        }
        for row in rows.iter_rows(named=True)
    ]
    sizes = made.lake.scan("images").select("image_id", "n_bytes", "width_px").collect()
    known = dict(zip(sizes["image_id"], sizes.iter_rows(), strict=True))
    for image_id, width, kilobytes in zip(
        rows["image_id"], found["width"], found["kilobytes"], strict=True
    ):
        assert int(width[0]) == known[image_id][2]
        assert int(kilobytes[0]) == -(-known[image_id][1] // 1000)


def test_the_page_has_the_figures_of_the_domains(made: Made) -> None:
    """Of two flagged and labelled images in one domain, one is fake: 9 to 91 % by Wilson."""
    table = {row.name: row for row in sections_of(made).domains}
    assert list(table) == ["art", "photos", "no domain"]
    assert table["art"].decisions == {"clear": 0, "review": 0, "flag": 2}
    assert table["art"].labels == {"real": 1, "fake": 1, "laundered": 0}
    assert table["art"].precision == (
        0.5,
        pytest.approx(0.0945, abs=1e-4),
        pytest.approx(0.9055, abs=1e-4),
    )
    assert table["photos"].precision is None
    page = Page(Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8"))
    assert "art 2 0 0 2 100.0% 1 real, 1 fake 50% (9% to 91%, 1 of 2)" in page.text
    assert "photos 2 1 1 0 0.0% 1 fake \N{EN DASH}" in page.text


def test_images_against_their_label_are_shown(made: Made) -> None:
    """A flagged real image and a cleared fake; an unsure answer is no label."""
    wrong = sections_of(made).mistakes
    assert [row["image_id"] for row in wrong] == [made.ids["a.jpg"], made.ids["c.jpg"]]
    page = Page(Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8"))
    assert page.json("page-data")["counts"] == [1, 2, 2]


def test_the_page_reads_and_recounts_what_the_run_decided(made: Made) -> None:
    """Groups, steps and counts on the page are those of the tables."""
    page = Page(Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8"))
    data = page.json("page-data")
    assert [data["steps"][k] for k in data["groups"][0][2:4]] == [0.35, 0.65] == data["band"]
    assert {name: n for name, n, *_ in data["groups"]} == {"art": 2, "photos": 2, "no domain": 1}
    assert data["grid"]["rows"] == 5


@pytest.mark.parametrize(("n_rows", "n_domains"), [(90, 1), (100, 3), (1000, 7), (5000, 2)])
def test_a_sample_has_equally_many_of_each_stratum_whatever_the_parts(
    n_rows: int, n_domains: int
) -> None:
    """Up to the limit all rows are kept; beyond it small strata are whole, the others equal."""
    rows = rows_of(n_rows, domains=n_domains)
    samples = []
    for parts in (1, 7):
        sample = RowSample(KEPT, max_rows=100)
        for part in range(parts):
            sample.add(rows.filter(pl.int_range(pl.len()) % parts == part))
        samples.append(sample.rows())
        assert sample.n_images == n_rows
    assert samples[0].equals(samples[1])
    kept = samples[0].group_by("decision", "domain").len()["len"]
    sizes = rows.group_by("decision", "domain").len()["len"]
    if n_rows <= 100:
        assert samples[0].height == n_rows
        return
    assert 100 - len(sizes) < samples[0].height <= 100
    assert sorted(kept) == sorted(min(size, kept.max()) for size in sizes)


def test_rows_with_a_thumbnail_are_in_the_sample() -> None:
    """What is shown can be found in the grid, and is there once."""
    rows = rows_of(500)
    sample = RowSample(KEPT, max_rows=50)
    sample.add(rows)
    last = rows.sort("image_id").tail(3)
    assert sample.rows(last).height == sample.rows().height + 3
    assert sample.rows(sample.rows()).equals(sample.rows())
    more_strata = RowSample(KEPT, max_rows=10)
    more_strata.add(rows_of(500, domains=40))
    assert more_strata.rows().height == 10


def grid_of(n: int, address: Any) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    raw = rng.bytes(32 * n).hex()
    return pl.DataFrame(
        {
            "image_id": [raw[64 * i : 64 * i + 64] for i in range(n)],
            "source_uri": [address(i, raw[64 * i : 64 * i + 64][::-1]) for i in range(n)],
            "domain": rng.choice(["photos", "art", "memes"], n),
            "prob_fake": rng.beta(0.4, 0.6, n).astype(np.float32),
            "decision": rng.choice(["clear", "review", "flag"], n),
            "reasons": [["in_review_band"]] * n,
            "label": [None] * n,
            "width_px": rng.integers(300, 6000, n, dtype=np.int32),
            "height_px": rng.integers(300, 6000, n, dtype=np.int32),
            "n_bytes": rng.integers(10_000, 5_000_000, n),
        },
        schema_overrides={"label": pl.String},
    )


def test_100_000_rows_with_numbered_names_fit_whole() -> None:
    """Addresses that differ by a number need not be cut."""
    rows = grid_of(100_000, lambda i, _: f"s3://bucket/uploads/2026/{i // 1000:05}/IMG_{i:07}.jpg")
    grid = grid_rows(rows)
    assert len(grid.packed.data) <= MAX_BYTES
    assert unpacked(grid.packed)["address"] == rows["source_uri"].sort().to_list()


def test_random_names_are_cut_until_the_rows_fit() -> None:
    """Of names of 128 random digits, in a fifth of the rows and bytes, less than half is kept."""
    rows = grid_of(20_000, lambda _, word: f"s3://bucket/uploads/{word}{word[::-1]}.jpg")
    grid = grid_rows(rows, max_bytes=MAX_BYTES // 5)
    assert len(grid.packed.data) <= MAX_BYTES // 5
    assert grid.address_chars < 60
    addresses = unpacked(grid.packed)["address"]
    assert {len(address) for address in addresses} == {grid.address_chars}
    assert all(address.startswith("s3://") and address.endswith(".jpg") for address in addresses)


def test_addresses_have_no_secrets_and_no_signs_that_disguise() -> None:
    """Values of queries are hidden, and direction marks and line feeds replaced."""
    names = ["https://h/p.jpg?sig=SECRET", "file:///a\u202egpj.exe", "file:///a\nb", None]
    rows = grid_of(4, lambda i, _: names[i]).with_columns(source_uri=pl.Series(names))
    assert sorted(unpacked(grid_rows(rows).packed)["address"]) == [
        "",
        "file:///a\ufffdb",
        "file:///a\ufffdgpj.exe",
        "https://h/p.jpg?sig=***",
    ]


def test_more_domains_and_reasons_than_fit_are_counted_together() -> None:
    """The table has the largest domains and the rest, the grid reasons of later versions too."""
    domains = Domains()
    names = [f"d{i:03}" for i in range(MAX_DOMAINS + 7)]
    domains.add(pl.DataFrame({"domain": names, "decision": "flag", "label": "fake"}))
    rows = domains.rows()
    assert len(rows) == MAX_DOMAINS + 1
    assert (rows[-1].name, rows[-1].n_images, rows[-1].flagged_fake) == ("other domains", 7, 7)
    many = grid_of(300, lambda i, _: f"file:///{i}").with_columns(
        domain=pl.format("d{}", pl.int_range(300).cast(pl.String)),
        reasons=pl.concat_list(pl.lit("of_tomorrow"), pl.lit("declared_ai")),
    )
    grid = grid_rows(many)
    assert grid.reasons == ("declared_ai", "of_tomorrow")
    assert (len(grid.domains), grid.domains[-1]) == (200, "other domains")
    assert (np.ravel(unpacked(grid.packed)["domain"]) == 199).sum() == 101


def test_made_images_stand_beside_their_parents(tmp_path: Path) -> None:
    """The page says what was done, gives both scores and the change, for made images alone."""
    made = lake_of(
        tmp_path / "lake",
        [
            Shot(name="photo.jpg", seed=1, prob=0.5),
            Shot(name="made.png", seed=2, prob=0.25, format="PNG"),
            Shot(name="lost.png", seed=3, prob=0.75, format="PNG"),
        ],
    )
    synthesised(made, "made.png", "photo.jpg")
    synthesised(made, "lost.png", "f" * 64, label="laundered")
    first, second = sections_of(made).pairs
    assert (first.image_id, first.parent_id) == (made.ids["made.png"], made.ids["photo.jpg"])
    assert (first.prob_fake, first.parent_prob, first.label) == (0.25, 0.5, "fake")
    # The logit of 1/4 is -ln 3, that of 1/2 is 0.
    assert first.logit_change == pytest.approx(-np.log(3), abs=1e-6)
    assert first.changes == ("generator tiny-vae",)
    assert (second.parent_prob, second.logit_change, second.parent_uri) == (None, None, None)
    html = Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8")
    assert_is_well_formed(html)
    page = Page(html)
    assert "2 images of this run were made from another one" in page.text
    assert "parent 0.500" in page.text
    assert "image 0.250 ● clear" in page.text
    assert "fake · logit -1.10" in page.text
    assert "the image could not be read" in page.text


def test_pairs_are_the_lowest_scores_of_each_method(tmp_path: Path) -> None:
    """With room for two of three pairs, the lowest scores are kept, and all are counted."""
    shots = [Shot(name=f"m{i}", seed=i, prob=0.9 - i / 10) for i in range(3)]
    made = lake_of(tmp_path / "lake", [*shots, Shot(name="parent", seed=9)])
    for shot in shots:
        synthesised(made, shot.name, "parent")
    run = find_run(made.lake, made.run_id)
    pairs = Pairs(made.lake, run, max_pairs=2)
    gather(made.lake, run, run.policy(), also=pairs.add)
    assert [pair.image_id for pair in pairs.pairs()] == [made.ids["m2"], made.ids["m1"]]
    assert pairs.n_pairs == {"reconstruct": 3}


def test_the_commands_of_the_page_are_commands_with_these_options(tmp_path: Path) -> None:
    """Each line is read by the command as it stands, from any folder and whatever the paths."""
    made = lake_of(
        tmp_path / "a lake",
        [Shot(name="a.jpg", prob=0.9)],
        rejected=[("b.txt", "not_an_image", "text")],
    )
    run = find_run(made.lake, made.run_id)
    lines = [text for _, text in next_commands(run, made.lake.uri, gather(made.lake, run, None))]
    verbs = [shlex.split(line)[1] for line in lines]
    assert verbs == ["show", "export", "query", "publish", "report"]
    for line in [*lines, review_command(run, made.lake.uri)]:
        words = shlex.split(line)
        assert words[0] == "assay"
        _, bound, _ = app.parse_args(words[1:], exit_on_error=False, print_error=False)
        assert bound.arguments["lake"] == str(tmp_path / "a lake")


def test_a_policy_with_very_many_domains_does_not_fill_the_page(tmp_path: Path) -> None:
    """The general policy file is there, and no copy of it for each domain."""
    shots = [Shot(name=f"{i}", seed=i, prob=0.5, domain=f"d{i}") for i in range(8)]
    band = {"review_at": 0.1, "flag_at": 0.9}
    domains = {f"d{i}": band for i in range(600)}
    rules = load_policy().as_dict() | {"detectors": {"mini": {"domains": domains}}}
    policy = policy_from_dict(rules, source="test")
    made = lake_of(tmp_path / "lake", shots, policy=policy, policy_rules=policy.as_dict())
    sections = sections_of(made)
    assert sections.own == [True] * 8
    assert sections.policies[:-1] == [""] * 8
    assert sections.policies[-1].count("d599") == 1
