"""The report: one offline file, complete without its script, with true figures and escaped text."""

from __future__ import annotations

import base64
import io
import json
import pickle
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from html_page import Page, assert_is_closed, assert_is_well_formed
from lakes import DETECTOR, Made, Shot, drawn, lake_of, reviewed
from PIL import Image

from assay.data.errors import ConfigError, InputError
from assay.data.package_versions import package_versions
from assay.data.store.lake import Lake
from assay.data.vocabulary import DecisionReason, Explained, Reason
from assay.tasks.decide.policy import Band
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.drift.of_run import RunDrift, SourceDrift
from assay.tasks.latest_rows import Part, parts_of
from assay.tasks.pages.captions import cut, score_text, short_name
from assay.tasks.pages.histogram import N_BINS, by_label, histogram_svg, score_bins
from assay.tasks.pages.thumbnails import thumbnail, thumbnails
from assay.tasks.rejections import remedy_of
from assay.tasks.report import facts
from assay.tasks.report.facts import ReportFacts, gather
from assay.tasks.report.page import render_page
from assay.tasks.report.sections import Collector
from assay.tasks.report.write import write_report
from assay.tasks.runs.run_record import RunRecord, find_run, ids_of_run

HOUR = timedelta(hours=1)
MAX_PAGE_BYTES = 1_500_000


def drawn_page(made: Made) -> Page:
    html = Path(write_report(made.lake, run_id=made.run_id)).read_text(encoding="utf-8")
    assert_is_well_formed(html)
    return Page(html)


def many(n: int = 60) -> list[Shot]:
    return [
        Shot(
            name=f"p{i}.jpg",
            seed=i,
            prob=(i + 0.5) / n,
            label=("real", "fake")[2 * i // n],
            size=(480, 440),
        )
        for i in range(n)
    ]


def test_a_report_names_the_sources_that_have_shifted(tmp_path: Path) -> None:
    """From the record of the run; text of an address is escaped, and no drift is no section."""
    made = lake_of(tmp_path / "lake", [Shot(name="a.jpg", seed=1, prob=0.2)])
    assert "Drift" not in drawn_page(made).text
    drift = RunDrift(
        verdict="none",
        measures={},
        limit=0.1,
        images_before=300,
        images_after=90,
        sources=(
            SourceDrift(
                source="file:///<script>alert(1)</script>",
                verdict="other_encoders",
                measures={"jpeg_quality": 0.42},
                images_before=40,
                images_after=30,
            ),
        ),
        sources_compared=2,
    )
    record = made.lake.scan("runs").with_columns(
        counts=pl.lit(json.dumps({"drift": drift.to_json()})),
        finished_at=pl.col("finished_at") + pl.duration(seconds=1),
    )
    made.lake.append("runs", record.collect(), txn="drift")
    text = drawn_page(made).text
    assert "no shift found; 90 images against 300 earlier ones of the same sources" in text
    assert "file:///<script>alert(1)</script>: other encoders" in text
    assert "(jpeg_quality 0.42); 30 images against 40 earlier ones" in text


def test_a_report_shows_what_ran_what_came_out_and_what_to_do(tmp_path: Path) -> None:
    """Counts, identities, thresholds, labels by decision, reasons, time and next commands."""
    made = lake_of(
        tmp_path / "lake",
        [*many(), Shot(name="broken.jpg", seed=99, prob=None)],
        rejected=[("notes.txt", "not_an_image", "begins with text")] * 1
        + [(f"cut{i}.jpg", "truncated", "half of it") for i in range(7)],
        copies=[("again.jpg", "p3.jpg")],
        versions={"assay": "9.9", "torch": "8.8"},
        sources=["/my pictures"],
        command="assay moderate '/my pictures' --label-from parent-folder --lake /a",
    )
    page = drawn_page(made)
    assert_is_closed(page)
    for words in (
        "70 items",
        "61 stored",
        "1 duplicates",
        "8 rejected",
        "60 scored now",
        "1 failed",
        made.run_id,
        DETECTOR,
        "5" * 64,
        "torch-cpu",
        "fp32",
        load_policy().policy_id,
        "assay 9.9, torch 8.8",
        "12.5 s, 4.0 images scored per second",
        "review from 0.35",
        "flag from 0.65",
        "fake 0 9 21 30",
        "real 21 9 0 30",
        "incomplete file Copy or download the file again in full. file:///pictures/cut0.jpg",
        "file:///pictures/cut0.jpg half of it",
        "and 2 more",
        "file:///pictures/again.jpg same as file:///pictures/p3.jpg",
        "no finite logit Score the image in fp32, or with another detector. 1",
        f"assay show {made.ids['p38.jpg'][:12]} --lake {made.lake.uri}",
        "assay moderate '/my pictures' --label-from parent-folder --lake /a",
        f"assay report {made.run_id} --lake",
    ):
        assert words in page.text, words
    pictures = [alt for alt in page.attributes("img", "alt") if alt]
    names = [f"p{i}.jpg" for i in range(59, -1, -1)]
    names[56] = "again.jpg"  # the latest item with the bytes of p3.jpg
    assert [alt.partition(",")[0] for alt in pictures] == names


def test_names_and_details_from_outside_are_text(tmp_path: Path) -> None:
    """Tags, quotes and direction marks in names, domains, sources and details have no effect."""
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    made = lake_of(
        tmp_path / "lake",
        [
            Shot(name=f'{attack}" onmouseover="alert(3).jpg', seed=1, prob=0.99, domain=attack),
            Shot(name="x\u202egpj.exe", seed=2, prob=0.5, label="real"),
        ],
        rejected=[(f"file:///{attack}.jpg", "unreadable", f"</details>{attack}")],
        copies=[(f"{attack}.png", "x\u202egpj.exe")],
        sources=[attack],
        policy=policy_from_dict(
            load_policy().as_dict()
            | {"detectors": {"mini": {"domains": {attack: {"review_at": 0, "flag_at": 1}}}}},
            source="test",
        ),
        backend=attack,
    )
    page = Page(
        Path(
            write_report(
                made.lake,
                run_id=made.run_id,
                policy=policy_from_dict(
                    load_policy().as_dict()
                    | {
                        "detectors": {"mini": {"domains": {attack: {"review_at": 0, "flag_at": 1}}}}
                    },
                    source="test",
                ),
            )
        ).read_text(encoding="utf-8")
    )
    assert_is_closed(page)
    assert attack in page.text
    assert "\u202e" not in page.text + "".join(page.attributes("img", "alt"))


@pytest.mark.parametrize(
    ("shots", "rejected", "words"),
    [
        ([], [("a.txt", "not_an_image", "text")], ["0 stored", "1 rejected", "Nothing was scored"]),
        ([], [], ["0 items", "No image was decided", "Nothing was rejected"]),
        ([Shot(name="a", prob=None)], [], ["Nothing was scored", "Not scored", "review 1 100.0%"]),
        ([Shot(name="a", prob=1.0), Shot(name="b", prob=0.0, seed=1)], [], ["1.000", "0.000"]),
    ],
)
def test_a_run_with_little_to_show_has_a_report_too(
    tmp_path: Path, shots: list[Shot], rejected: list[tuple[str, str, str]], words: list[str]
) -> None:
    """Reports exist for all rejected, nothing, nothing scored, and scores at both ends."""
    page = drawn_page(lake_of(tmp_path / "lake", shots, rejected=rejected))
    assert_is_closed(page)
    for word in words:
        assert word in page.text, word


def test_a_run_that_has_not_ended_says_so(tmp_path: Path) -> None:
    """The counts come from the tables, and no detector is named yet."""
    made = lake_of(
        tmp_path / "lake",
        [Shot(name="a")],
        rejected=[("b.txt", "empty", "0 bytes")],
        status="running",
        is_scored=False,
    )
    page = drawn_page(made)
    assert "This run is running" in page.text
    assert "2 items" in page.text
    assert "1 rejected" in page.text
    assert "Nothing was scored" in page.text


def test_the_end_of_a_run_counts_over_its_beginning(tmp_path: Path) -> None:
    """Of several rows of a run, the last one counts."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")], status="running")
    row = made.lake.scan("runs").collect()
    ended = row.with_columns(status=pl.lit("completed"), finished_at=pl.col("started_at"))
    made.lake.append("runs", ended, txn="end")
    assert find_run(made.lake, made.run_id).status == "completed"


def test_thresholds_are_drawn_only_when_they_are_those_of_the_run(tmp_path: Path) -> None:
    """Thresholds come from the recorded policy, and are left out without it."""
    policy = policy_from_dict(
        load_policy().as_dict() | {"default": {"review_at": 0.1, "flag_at": 0.2}}, source="test"
    )
    lost = lake_of(tmp_path / "lost", [Shot(name="a", prob=0.5)], policy=policy)
    page = drawn_page(lost)
    assert "The thresholds are not drawn" in page.text
    assert not re.search(r"flag from \d", page.text)
    kept = lake_of(
        tmp_path / "kept",
        [Shot(name="a", prob=0.5)],
        policy=policy,
        policy_rules=policy.as_dict(),
    )
    assert "flag from 0.2" in drawn_page(kept).text


def test_the_page_stays_small_whatever_the_pictures(tmp_path: Path) -> None:
    """The page with images of noise stays below 1.5 MB."""
    made = lake_of(tmp_path / "lake", [noisy(i) for i in range(40)])
    path = Path(write_report(made.lake, run_id=made.run_id))
    assert path.stat().st_size < MAX_PAGE_BYTES
    assert len([alt for alt in Page(path.read_text()).attributes("img", "alt") if alt]) == 40


def noisy(seed: int) -> Shot:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (600, 600, 3), dtype=np.uint8)).save(out, "JPEG")
    return Shot(name=f"noise{seed}", prob=(seed + 1) / 50, raw=out.getvalue())


def test_counting_by_parts_gives_the_same_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every figure and every pick is the same with one part and with seven."""
    made = lake_of(
        tmp_path / "lake",
        many(),
        rejected=[(f"r{i}.txt", ("empty", "truncated")[i % 2], str(i)) for i in range(20)],
        copies=[(f"c{i}.jpg", f"p{i}.jpg") for i in range(15)],
    )
    run = find_run(made.lake, made.run_id)
    whole = gather(made.lake, run, load_policy())

    def in_parts(lake: Lake, image_ids: pl.Series | None) -> Iterator[Part]:
        return parts_of(lake, image_ids, rows_at_a_time=9)

    monkeypatch.setattr(facts, "parts_of", in_parts)
    monkeypatch.setattr(facts, "ROWS_AT_A_TIME", 9)
    assert len(list(in_parts(made.lake, ids_of_run(made.lake, run)))) == 7
    assert gather(made.lake, run, load_policy()) == whole


def test_a_damaged_shard_costs_pictures_not_the_report(tmp_path: Path) -> None:
    """Unreadable images are marked, and the figures stay."""
    made = lake_of(tmp_path / "lake", many(5))
    for shard in (tmp_path / "lake" / "shards").iterdir():
        shard.write_bytes(b"gone")
    page = drawn_page(made)
    assert "the image could not be read" in page.text
    assert "5 stored" in page.text


def test_reports_go_where_they_are_asked_to_and_leave_nothing_else(tmp_path: Path) -> None:
    """`out` names the file; a folder or an unknown run is refused."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")])
    out = tmp_path / "deep" / "page.html"
    assert write_report(made.lake, run_id=made.run_id, out=out) == str(out)
    assert [entry.name for entry in out.parent.iterdir()] == ["page.html"]
    default = write_report(made.lake, run_id=made.run_id)
    assert default == made.lake.path("reports", f"{made.run_id}.html")
    with pytest.raises(ConfigError, match="is a folder; give the file"):
        write_report(made.lake, run_id=made.run_id, out=tmp_path)
    with pytest.raises(InputError, match=f"no run nope in .*; the latest runs are {made.run_id}"):
        write_report(made.lake, run_id="nope")


def test_a_review_changes_the_table_of_labels(tmp_path: Path) -> None:
    """A review wins over the source, in the report as in a publication."""
    made = lake_of(tmp_path / "lake", [Shot(name="a", prob=0.9, label="real")])
    assert "real 0 0 1 1" in drawn_page(made).text
    reviewed(made, "a", "laundered")
    assert "laundered 0 0 1 1" in drawn_page(made).text


def test_scores_fall_into_the_bins_that_hold_them() -> None:
    """Score 0 is in the first bin, 1 in the last, and an edge in the bin that it opens."""
    rows = pl.DataFrame(
        {
            "prob_fake": pl.Series([0.0, 1.0, 0.5, 0.0249, None, float("nan")], dtype=pl.Float32),
            "label": ["real", "real", None, "fake", "fake", "fake"],
        }
    )
    counts = by_label({(label, i): n for label, i, n in score_bins(rows).iter_rows()})
    assert list(counts) == ["real", "fake", "no label"]
    assert {i: n for i, n in enumerate(counts["real"]) if n} == {0: 1, N_BINS - 1: 1}
    assert {i: n for i, n in enumerate(counts["fake"]) if n} == {0: 1}
    assert {i: n for i, n in enumerate(counts["no label"]) if n} == {N_BINS // 2: 1}


def test_the_histogram_draws_each_count_and_threshold_in_its_place() -> None:
    """Bars are in proportion to counts, and lines stand at the thresholds."""
    counts = {"real": [10, 5] + [0] * (N_BINS - 2)}
    svg = histogram_svg(counts, Band(review_at=0.25, flag_at=0.75), width_px=816)
    bars = [float(x) for x in re.findall(r'class="bar-real"[^>]*height="([\d.]+)"', svg)]
    assert bars == [70.0, 35.0]
    assert 'class="at-review" x1="208.0"' in svg
    assert 'class="at-flag" x1="608.0"' in svg
    merged = histogram_svg(counts, None, width_px=816, n_bins=20)
    assert ": 15</title>" in merged
    assert "at-flag" not in merged


def test_thumbnails_are_small_upright_and_veiled_by_a_few_pixels() -> None:
    """The thumbnail keeps the shape of the image; the veil has twelve pixels at most."""
    small = thumbnail(drawn(Shot(name="a", size=(800, 400))), max_px=192, max_bytes=16_000)
    assert small is not None
    assert (small.width_px, small.height_px) == (192, 96)
    raw = base64.b64decode(small.sharp.partition(",")[2])
    assert Image.open(io.BytesIO(raw)).size == (192, 96)
    assert len(raw) <= 16_000
    veil = Image.open(io.BytesIO(base64.b64decode(small.veil.partition(",")[2])))
    assert max(veil.size) == 12
    assert thumbnail(b"no picture", max_px=192, max_bytes=16_000) is None


def test_a_picture_shown_twice_is_read_once(tmp_path: Path) -> None:
    """Galleries may share images, and an unknown id has no thumbnail."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")])
    ids = [made.ids["a"], made.ids["a"], "0" * 64]
    assert list(thumbnails(made.lake, ids, max_px=64, max_bytes=4000)) == [made.ids["a"]]


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("file:///a/b%20c.jpg", "b c.jpg"),
        ("file:///a/b#1?.jpg", "b#1"),
        ("zip:///a/x.zip!inner/d.jpg", "d.jpg"),
        ("parquet:///a/x.parquet!17", "x.parquet row 17"),
        ("https://h.example/p/q.png?size=3", "q.png"),
        ("https://h.example", "https://h.example"),
        (None, "unnamed"),
    ],
)
def test_an_item_is_called_by_the_end_of_its_address(uri: str | None, name: str) -> None:
    """The short name is the last part of a path, or the row of a table."""
    assert short_name(uri) == name


def test_texts_are_cut_and_figures_never_rounded_to_certainty() -> None:
    """A long address keeps its end, and 0.9999 is not shown as 1.000."""
    assert cut("a" * 300 + "end").endswith("end")
    assert len(cut("a" * 300)) == 160
    assert [score_text(p) for p in (0, 0.0001, 0.5, 0.99999, 1, None)] == [
        "0.000",
        "<0.001",
        "0.500",
        ">0.999",
        "1.000",
        "no score",
    ]


def test_versions_name_what_decides_a_score() -> None:
    """Versions are read without importing the packages."""
    found = package_versions()
    assert {"assay", "torch", "torchvision", "openvino", "pillow", "numpy"} <= set(found)
    assert found["openvino"].startswith("20")
    found["openvino"] = "changed by a caller"
    assert package_versions()["openvino"].startswith("20")


def test_every_reason_is_shown_with_its_text(tmp_path: Path) -> None:
    """The report shows every reason, and reasons of later versions as they are."""
    made = ReportFacts(
        decisions={"review": 40},
        reasons={word: n for n, word in enumerate([*DecisionReason, "of_tomorrow"], start=1)},
        failures={word: n for n, word in enumerate([*Reason, "new_failure"], start=100)},
        rejected={word: (n, []) for n, word in enumerate([*Reason, "new_refusal"], start=200)},
    )
    run = RunRecord(
        run_id="r-1",
        flow="moderate",
        status="completed",
        params={"batch_id": "b-1", "detector": DETECTOR, "weights_sha256": "5" * 64},
        counts={},
        code_version="0.1.0",
        started_at=datetime(2026, 3, 1, tzinfo=UTC),
        finished_at=None,
    )
    lake = Lake(tmp_path / "lake")
    sections = Collector(lake, run, None).sections([], all_up_to=80)
    text = Page(render_page(run, "lake", made, None, {}, sections)).text
    for n, decided in enumerate(DecisionReason, start=1):
        assert f"{decided.text} {n}" in text
    for n, reason in enumerate(Reason):
        assert f"{reason.text} {remedy_of(reason)} {n + 100}" in text
        assert f"{reason.value} : {reason.text} {remedy_of(reason)}" in text
    assert f"of_tomorrow {len(DecisionReason) + 1}" in text
    assert (
        f"new_failure Update assay; a later version recorded this reason. {len(Reason) + 100}"
        in (text)
    )
    assert "new_refusal" in text


@pytest.mark.parametrize("vocabulary", [Reason, DecisionReason])
def test_reasons_differ_in_word_and_text(vocabulary: type[Explained]) -> None:
    """Each reason has a short text of its own, survives a pickle and equals its word."""
    assert len({reason.text for reason in vocabulary}) == len(vocabulary)
    for reason in vocabulary:
        assert 0 < len(reason.text) <= 80
        assert reason == reason.value == vocabulary(reason.value)
        assert pickle.loads(pickle.dumps(reason)) is reason


def test_a_reason_without_a_text_does_not_load() -> None:
    """The vocabulary requires a text."""
    with pytest.raises(TypeError):

        class Odd(Explained):
            WORD = "word"


def test_latest_is_the_last_run_that_scored(tmp_path: Path) -> None:
    """A run that only ingested has a report by its id, and is not `latest`."""
    made = lake_of(tmp_path / "lake", [Shot(name="a")])
    row = (
        made.lake.scan("runs").filter(pl.col("run_id") == made.run_id).collect().row(-1, named=True)
    )
    later = row | {"run_id": "ingest-1", "flow": "ingest", "started_at": row["started_at"] + HOUR}
    made.lake.append("runs", [later], txn="run:ingest-1")
    assert find_run(made.lake, "latest").run_id == made.run_id
    assert find_run(made.lake, "ingest-1").flow == "ingest"


def test_a_veiled_report_has_nothing_sharper_than_twelve_grey_pixels(tmp_path: Path) -> None:
    """Every image in the file is a veil, also those that the script takes for the grid."""
    made = lake_of(tmp_path / "lake", many(3))
    path = Path(write_report(made.lake, run_id=made.run_id, is_veiled=True))
    page = Page(path.read_text(encoding="utf-8"))
    urls = re.findall(r"data:image/[^\"')\s]+", path.read_text(encoding="utf-8"))
    assert len(urls) == 3
    for url in urls:
        veil = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
        assert max(veil.size) <= 12
        spread = np.ptp(np.asarray(veil, dtype=np.int16), axis=2)
        assert spread.max() <= 4  # the rounding of WebP
    assert "nothing sharper" in page.text
