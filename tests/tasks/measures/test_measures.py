"""Pixels are measured once, of the images whose decisions depend on it, before they are decided."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from factories import encoded, noise, photo
from ingesting import ingest_items, put
from lakes import Made, Shot, lake_of
from PIL import Image

from assay.data.errors import UnreadableImage
from assay.data.images.pixel_facts import measure_pixels
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store.lake import Lake
from assay.data.vocabulary import Decision, Reason
from assay.flows.cli import main
from assay.flows.deciding.decide_again import decide_again, shadow
from assay.tasks.decide import measures_pending as measures_pending_module
from assay.tasks.decide.measures_pending import measures_pending
from assay.tasks.decide.policy import Policy
from assay.tasks.decide.policy_file import load_policy, policy_from_dict
from assay.tasks.decide.policy_toml import policy_toml
from assay.tasks.hashes.known_hashes import add_hashes
from assay.tasks.measures import measures
from assay.tasks.measures.inline_measurer import InlineMeasurer
from assay.tasks.measures.measures import measure_images, unmeasured

SHARP, ENLARGED = "sharp.png", "enlarged.png"
NAMES = ("image_id", "reason", "detail", "flat_share", "n_colours", "pdq")


def policy(**changes: Any) -> Policy:
    return policy_from_dict(load_policy().as_dict() | changes, source="test")


BY_PIXELS = policy(copies="alone", pixels={"min_detail": 0.5})
PLAIN = BY_PIXELS.model_copy(update={"pixels": None})


def two_photos() -> dict[str, bytes]:
    """Return noise as it is, and noise that was enlarged from a quarter of its side."""
    small = noise(seed=2, size=(125, 115))
    return {
        SHARP: encoded(noise(seed=1, size=(500, 460)), "PNG"),
        ENLARGED: encoded(small.resize((500, 460), Image.Resampling.BICUBIC), "PNG"),
    }


@pytest.fixture
def made(tmp_path: Path) -> Made:
    raws = two_photos()
    return lake_of(tmp_path / "lake", [Shot(name=name, raw=raw) for name, raw in raws.items()])


def rows_of(lake: Lake) -> dict[str, tuple[Any, ...]]:
    rows = lake.scan("measures").select(NAMES).collect()
    return {row[0]: row[1:] for row in rows.iter_rows()}


def test_only_policies_and_lists_that_read_measures_need_them(made: Made) -> None:
    """A policy without rules on pixels needs none; these rules do, and any list of hashes."""
    assert measures_pending(made.lake, PLAIN).is_empty()
    assert measures_pending(made.lake, BY_PIXELS).height == 2
    hashes = pl.DataFrame({"hash": ["0" * 64], "note": ["x"]})
    add_hashes(made.lake, hashes, list_name="x", decision=Decision.FLAG)
    ids = pl.Series("image_id", [made.ids[SHARP]])
    assert measures_pending(made.lake, PLAIN, image_ids=ids)["image_id"].to_list() == [*ids]


def test_a_row_has_what_the_bytes_say(made: Made) -> None:
    """The values are those of the image, rounded to float32 where they are stored."""
    assert measure_images(made.lake, list(made.ids.values())) == 2
    rows = rows_of(made.lake)
    for name, raw in two_photos().items():
        facts = measure_pixels(raw)
        reason, detail, flat_share, n_colours, pdq = rows[made.ids[name]]
        assert (reason, n_colours, pdq) == (None, facts.n_colours, facts.pdq)
        assert detail == pytest.approx(facts.detail, rel=1e-6)
        assert flat_share == pytest.approx(facts.flat_share, rel=1e-6)


def test_an_image_is_measured_once(made: Made) -> None:
    """A second pass finds nothing to do, also for ids that were pending before the first."""
    ids = list(made.ids.values())
    assert unmeasured(made.lake).height == 2
    assert measure_images(made.lake, ids[:1]) == 1
    assert unmeasured(made.lake)["image_id"].to_list() == ids[1:]
    assert measure_images(made.lake, ids) == 1
    assert measure_images(made.lake, ids) == 0
    assert made.lake.version("measures") == 2


def test_a_stopped_pass_keeps_what_it_has_measured(made: Made) -> None:
    """An interrupt after the first image leaves one row, and one image pending."""

    def stop(_n: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure_images(made.lake, list(made.ids.values()), n_workers=1, on_item=stop)
    assert len(rows_of(made.lake)) == 1
    assert unmeasured(made.lake).height == 1


def test_an_image_that_cannot_be_decoded_has_a_reason(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its measures are unknown, and it is not tried again; without memory it stays pending."""
    errors = {
        made.ids[SHARP]: UnreadableImage(Reason.TOO_MANY_PIXELS, "too large now"),
        made.ids[ENLARGED]: MemoryError(),
    }
    raws = {raw: errors[made.ids[name]] for name, raw in two_photos().items()}

    def failing(raw: bytes, **_: Any) -> None:
        raise raws[raw]

    monkeypatch.setattr(measures, "measure_pixels", failing)
    assert measure_images(made.lake, list(made.ids.values())) == 1
    assert rows_of(made.lake) == {
        made.ids[SHARP]: (Reason.TOO_MANY_PIXELS.value, None, None, None, None)
    }
    assert unmeasured(made.lake)["image_id"].to_list() == [made.ids[ENLARGED]]


def test_a_policy_that_arrives_later_measures_before_it_decides(made: Made) -> None:
    """A dry run says what it does not know and writes nothing; then the enlarged image is found."""
    dry = shadow(made.lake, BY_PIXELS)
    assert dry.n_unmeasured == 2
    assert made.lake.version("measures") is None
    seen = shadow(made.lake, BY_PIXELS, measures=True)
    assert seen.n_unmeasured == 0
    run_id = decide_again(made.lake, seen)
    found = made.lake.scan("decisions").filter(pl.col("run_id") == run_id).collect()
    reasons = dict(found.select("image_id", "reasons").iter_rows())
    assert reasons[made.ids[ENLARGED]][0] == "enlarged"
    assert reasons[made.ids[SHARP]][0] == "below_review_threshold"


def test_the_lead_of_a_group_is_measured_with_its_copy(tmp_path: Path) -> None:
    """Under copies together, a copy is decided by an image that need not be of the batch."""
    large = photo(seed=3, size=(960, 880))
    shots = [
        Shot(name="large.png", raw=encoded(large, "PNG")),
        Shot(name="copy.jpg", raw=encoded(large.resize((480, 440)), "JPEG")),
    ]
    made = lake_of(tmp_path / "lake", shots)
    mine = pl.Series("image_id", [made.ids["copy.jpg"]])
    rules = {"pixels": {"min_detail": 0.5}}
    alone = measures_pending(made.lake, policy(**rules, copies="alone"), image_ids=mine)
    assert alone["image_id"].to_list() == [*mine]
    together = measures_pending(made.lake, policy(**rules, copies="together"), image_ids=mine)
    assert set(together["image_id"]) == set(made.ids.values())


def test_copies_together_need_the_hashes_of_near_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a group and no other image; of a batch, its copies elsewhere up to a number."""
    large = photo(seed=3, size=(960, 880))
    copies = {f"{side}.jpg": large.resize((side, side)) for side in (480, 464, 448)}
    shots = [Shot(name="large.png", raw=encoded(large, "PNG")), Shot(name="other", seed=4)]
    shots += [Shot(name=name, raw=encoded(image, "JPEG")) for name, image in copies.items()]
    made = lake_of(tmp_path / "lake", shots)
    together = PLAIN.model_copy(update={"copies": "together"})
    near = set(made.ids.values()) - {made.ids["other"]}
    assert set(measures_pending(made.lake, together)["image_id"]) == near
    mine = pl.Series("image_id", [made.ids["448.jpg"]])
    assert set(measures_pending(made.lake, together, image_ids=mine)["image_id"]) == near
    monkeypatch.setattr(measures_pending_module, "MAX_OTHERS", 1)
    some = measures_pending(made.lake, together, image_ids=mine)["image_id"]
    assert {made.ids["448.jpg"], made.ids["large.png"]} < set(some)
    assert len(some) == 3
    measure_images(made.lake, sorted(near))
    assert measures_pending(made.lake, together).is_empty()


def test_a_run_measures_what_its_policy_reads_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without rules on pixels there is no table; with them, each image of the run has a row."""
    (tmp_path / "images").mkdir()
    for name, raw in two_photos().items():
        (tmp_path / "images" / name).write_bytes(raw)
    plain, rules = tmp_path / "plain.toml", tmp_path / "policy.toml"
    plain.write_text(policy_toml(PLAIN.as_dict()))
    rules.write_text(policy_toml(BY_PIXELS.as_dict()))
    lake = Lake(tmp_path / "lake")
    words = ["--lake", lake.uri, "--detector", "mini", "--no-server", "--quiet", "--json"]
    words = ["moderate", str(tmp_path / "images"), *words]
    main([*words, "--policy", str(plain)])
    assert lake.version("measures") is None
    capsys.readouterr()
    main([*words, "--policy", str(rules)])
    assert json.loads(capsys.readouterr().out)["decisions"]["review"] >= 1
    assert len(rows_of(Lake(lake.uri))) == 2


def test_new_images_are_measured_in_the_decode_of_their_ingest(tmp_path: Path, made: Made) -> None:
    """Rows are those of the pass over stored images, for a copy too; damage leaves none pending."""
    measure_images(made.lake, list(made.ids.values()))
    files = two_photos()
    put(tmp_path / "in", files | {"copy.png": files[SHARP], "cut.png": files[SHARP][:9000]})
    lake = Lake(tmp_path / "new")
    items = list(find_items([str(tmp_path / "in")], SourceOptions()))
    counts = ingest_items(lake, items, measurer=InlineMeasurer(lake))
    assert (counts.stored, counts.duplicates, counts.rejected) == (2, 1, 1)
    assert rows_of(lake) == rows_of(made.lake)
    assert unmeasured(lake).is_empty()
    again = [replace(item, fingerprint="touched") for item in items]
    ingest_items(lake, again, run_id="run-2", measurer=InlineMeasurer(lake))
    assert lake.scan("measures").collect().height == 2


def test_a_run_decodes_an_image_once_to_score_and_measure_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under rules on pixels, nothing is left for the pass that decodes stored images."""
    put(tmp_path / "images", two_photos())
    lake = Lake(tmp_path / "lake")
    rules = tmp_path / "policy.toml"
    rules.write_text(policy_toml(BY_PIXELS.as_dict()))
    monkeypatch.setattr("assay.flows.steps.measure_images", None)
    words = ["--lake", lake.uri, "--detector", "mini", "--no-server", "--quiet"]
    main(["moderate", str(tmp_path / "images"), *words, "--policy", str(rules)])
    assert len(rows_of(lake)) == 2


def test_the_command_measures_all_images(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    """The dry run counts, the command measures, and a second one has nothing left."""
    words = ["lake", "measure", "--lake", made.lake.uri, "--json"]
    main([*words, "--dry-run"])
    assert json.loads(capsys.readouterr().out)["writes"][0]["count"] == 2
    for n in (2, 0):
        main(words)
        assert json.loads(capsys.readouterr().out)["measured"] == n
