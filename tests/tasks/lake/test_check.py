"""A damaged lake: refused, checked, repaired, completed by the next run, and swept."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from ingesting import ingest as ingest_folder
from ingesting import picture, put, states

from assay.data.errors import ConfigError, StoreError
from assay.data.store.lake import Lake
from assay.data.store.local_files import LocalStore
from assay.data.store.shards import ShardImage
from assay.flows.cli import main
from assay.flows.installation import doctor
from assay.flows.request import Request
from assay.flows.results.moderation import Moderation
from assay.flows.run import run
from assay.tasks.browse.find_image import find_image
from assay.tasks.lake.check import check
from assay.tasks.lake.compact import compact
from assay.tasks.lake.fit import require_fit
from assay.tasks.lake.repair import draw, repair
from assay.tasks.lake.sweep import sweep
from assay.tasks.publish.publish import publish

PICTURES = {f"{n}.png": picture(n, size=(48, 32)) for n in range(4)}
IDS = {name: hashlib.sha256(raw).hexdigest() for name, raw in PICTURES.items()}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    put(tmp_path / "pics", PICTURES)
    ingest(tmp_path)
    return Lake(tmp_path / "lake", create=False)


def ingest(folder: Path) -> Moderation:
    request = Request(lake=str(folder / "lake"), sources=(str(folder / "pics"),), n_workers=1)
    return run(request, flow="ingest")


def only(lake: Lake, pattern: str) -> Path:
    [file] = Path(lake.uri).glob(pattern)
    return file


def flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


def flip_picture(lake: Lake, name: str) -> None:
    shard = only(lake, "shards/*.parquet")
    flip(shard, shard.read_bytes().index(PICTURES[name]) + 100)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def replace(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"x")


def empty_log(lake: Lake, table: str) -> None:
    for entry in Path(lake.uri).glob(f"tables/{table}/_delta_log/*.json"):
        os.truncate(entry, 0)


HARMS: dict[str, tuple[Callable[[Lake], None], str]] = {
    "shard missing": (lambda lake: only(lake, "shards/*").unlink(), "shards/"),
    "shard cut": (lambda lake: cut(only(lake, "shards/*")), "shards/"),
    "table file missing": (
        lambda lake: only(lake, "tables/images/*.parquet").unlink(),
        "tables/images/part-",
    ),
    "table file cut": (
        lambda lake: cut(only(lake, "tables/images/*.parquet")),
        "tables/images/part-",
    ),
    "table file changed": (
        lambda lake: flip(only(lake, "tables/sightings/*.parquet"), 200),
        "tables/sightings/part-",
    ),
    "log of images emptied": (lambda lake: empty_log(lake, "images"), "tables/images"),
    "log of images deleted": (
        lambda lake: shutil.rmtree(only(lake, "tables/images/_delta_log")),
        "tables/images",
    ),
    "last entry of images deleted": (
        lambda lake: only(lake, f"tables/images/_delta_log/{1:020}.json").unlink(),
        "tables/sightings",
    ),
    "images deleted": (
        lambda lake: shutil.rmtree(only(lake, "tables/images")),
        "tables/sightings",
    ),
    "log of images a file": (
        lambda lake: replace(only(lake, "tables/images/_delta_log")),
        "tables/images",
    ),
    "images a file": (lambda lake: replace(only(lake, "tables/images")), "tables/images"),
    "tables deleted": (lambda lake: shutil.rmtree(only(lake, "tables")), "tables"),
    "images and shards deleted": (
        lambda lake: [shutil.rmtree(only(lake, name)) for name in ("tables/images", "shards")],
        "tables/sightings",
    ),
}


@pytest.mark.parametrize("name", HARMS)
def test_damage_is_refused_found_mended_and_completed(lake: Lake, name: str) -> None:
    """A run names the damage; after a repair every image is present and accounted for."""
    harm, where = HARMS[name]
    harm(lake)
    folder = Path(lake.uri).parent
    with pytest.raises(StoreError, match=rf"assay lake check --lake {lake.uri}"):
        ingest(folder)
    found = check(Lake(lake.uri)).damage
    assert found
    assert found[0].where.startswith(where)
    told = repair(Lake(lake.uri))
    assert told.done
    assert told.lost_images == []
    assert check(Lake(lake.uri), deep=True).damage == []
    assert ingest(folder).stored == 4
    assert dict(Lake(lake.uri).images(list(IDS.values()))) == {
        IDS[name]: raw for name, raw in PICTURES.items()
    }
    assert lake.scan("images").collect().height == 4


def test_a_sound_lake_has_no_finding_and_no_repair(lake: Lake) -> None:
    """A repair without findings changes no table."""
    before = lake.version("images")
    assert check(lake, deep=True).findings == ()
    assert repair(lake).done == []
    assert lake.version("images") == before


def test_a_changed_byte_of_a_picture_is_found_by_reading_all(lake: Lake) -> None:
    """One image is affected and read again from its source; the others stay."""
    flip_picture(lake, "2.png")
    assert check(lake).damage == []
    [finding] = check(lake, deep=True).damage
    assert "1 of its 4 images" in finding.problem
    assert IDS["2.png"][:12] in finding.affects
    repair(lake)
    assert check(lake, deep=True).damage == []
    assert lake.image(IDS["2.png"]) == PICTURES["2.png"]
    shards = lake.scan("images").collect()
    assert sorted(shards.group_by("shard").len()["len"]) == [1, 3]


def test_what_is_found_nowhere_is_recorded_and_comes_back_with_its_source(lake: Lake) -> None:
    """The item is rejected as bytes_lost, and a later run completes it."""
    pics = Path(lake.uri).parent / "pics"
    flip_picture(lake, "2.png")
    kept = (pics / "2.png").stat()
    (pics / "2.png").unlink()
    told = repair(lake)
    assert told.lost_images == [IDS["2.png"]]
    assert "no damage" not in draw(told)
    assert "next   run the moderate command" in draw(told)
    batch_id = lake.scan("sightings").collect()["batch_id"][0]
    assert states(lake, batch_id)["2.png"] == ("rejected", "bytes_lost")
    assert check(lake, deep=True).damage == []
    assert check(lake).lost == 1
    assert ingest(pics.parent).stored == 3
    (pics / "2.png").write_bytes(PICTURES["2.png"])
    os.utime(pics / "2.png", ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert ingest(pics.parent).stored == 4
    assert lake.image(IDS["2.png"]) == PICTURES["2.png"]
    assert check(lake, deep=True).lost == 0


def test_sources_are_found_without_a_run_that_named_them(tmp_path: Path) -> None:
    """A repair finds a file and an archive by the addresses of their items."""
    put(tmp_path / "pics", {"0.png": PICTURES["0.png"]})
    with zipfile.ZipFile(tmp_path / "pics" / "more é.zip", "w") as archive:
        for name in ("1.png", "2.png"):
            archive.writestr(f"in/{name}", PICTURES[name])
    sources = (str(tmp_path / "pics" / "0.png"), str(tmp_path / "pics" / "more é.zip"))
    run(Request(lake=str(tmp_path / "lake"), sources=sources, n_workers=1), flow="ingest")
    lake = Lake(tmp_path / "lake", create=False)
    for name in ("tables/runs", "shards"):
        shutil.rmtree(only(lake, name))
    told = repair(lake)
    assert told.lost_images == []
    assert check(lake, deep=True).images == 3


def test_a_repair_says_which_rows_nothing_makes_again(lake: Lake) -> None:
    """Reviews are lost with their file; sightings return with the next run."""
    answer = {"image_id": IDS["1.png"], "label": "real", "reviewer": "ann", "note": None}
    lake.append("reviews", [answer | {"reviewed_at": datetime(2026, 1, 2, tzinfo=UTC)}], txn="r")
    for table in ("reviews", "sightings"):
        cut(only(lake, f"tables/{table}/*.parquet"))
    told = {line.partition(":")[0]: line for line in repair(lake).lost}
    assert told["reviews"].startswith("reviews: 1 row of damaged files, which exist nowhere else")
    assert told["sightings"].endswith("4 rows of damaged files, which the next run writes again")
    assert ingest(Path(lake.uri).parent).stored == 4


def test_a_damaged_merged_file_is_replaced_by_those_it_was_made_from(lake: Lake) -> None:
    """No row of merged files is lost before a vacuum, also after a merge of merged files."""
    answer = {"image_id": IDS["1.png"], "label": "real", "note": None}
    answer |= {"reviewed_at": datetime(2026, 1, 2, tzinfo=UTC)}
    reviewers = ["ann", "bob", "cy"]
    for reviewer in reviewers:
        lake.append("reviews", [answer | {"reviewer": reviewer}], txn=reviewer)
        compact(lake)
    for version in (3, 5):  # the merged files of two and of three rows
        [merged] = lake.tables.at("reviews", version).file_uris()
        cut(Path(merged))
    before = lake.version("reviews")
    report = repair(Lake(lake.uri))
    assert report.lost == []
    assert "reviews: 3 files put back that they were merged from" in report.done
    assert sorted(lake.scan("reviews").collect()["reviewer"]) == reviewers
    assert check(lake, deep=True).damage == []
    assert lake.added("reviews", before, lake.version("reviews")).collect().is_empty()


def test_a_repair_deletes_nothing(lake: Lake) -> None:
    """Damaged files lie unchanged in a folder of their own."""
    shard = only(lake, "shards/*")
    cut(shard)
    raw = shard.read_bytes()
    repair(lake)
    assert only(lake, f"damaged/*/shards/{shard.name}").read_bytes() == raw


def test_a_log_made_anew_takes_rows_once(lake: Lake) -> None:
    """A leftover file of a refused writer adds no second copy of its rows."""
    file = only(lake, "tables/sightings/*.parquet")
    shutil.copy(file, file.with_name("part-copy.parquet"))
    empty_log(lake, "sightings")
    repair(lake)
    assert lake.scan("sightings").collect().height == 4


def test_a_damaged_checkpoint_costs_no_version(lake: Lake) -> None:
    """The log entries restore the table and its history."""
    row = {"image_id": IDS["1.png"], "label": "real", "reviewer": "ann", "note": None}
    for n in range(3):
        row["reviewed_at"] = datetime(2026, 1, n + 1, tzinfo=UTC)
        lake.append("reviews", [row], txn=str(n))
    lake.tables.open("reviews").create_checkpoint()
    cut(only(lake, "tables/reviews/_delta_log/*.checkpoint.parquet"))
    with pytest.raises(StoreError, match="cannot read the table"):
        lake.scan("reviews")
    assert "checkpoint" in repair(lake).done[0]
    assert [lake.scan("reviews", n).collect().height for n in (1, 2, 3)] == [1, 2, 3]


def test_the_command_says_what_and_ends_with_4(
    lake: Lake, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commands print JSON, a text and a finding of doctor; repair exits with 0."""
    only(lake, "shards/*").unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["lake", "check", "--lake", lake.uri, "--json"])
    assert stopped.value.code == 4
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["findings"][0]["affects"]) == (False, "4 images")
    with pytest.raises(SystemExit):
        main(["lake", "check", "--lake", lake.uri])
    assert "next   assay lake repair" in capsys.readouterr().out
    with pytest.raises(StoreError, match="is missing; 1 damaged in total; run assay lake check"):
        doctor._lake(lake.uri)
    main(["lake", "repair", "--lake", lake.uri])
    assert "4 read again from their sources" in capsys.readouterr().out


def old(path: Path, hours: float) -> Path:
    then_s = time.time() - hours * 3600
    os.utime(path, (then_s, then_s))
    return path


def test_a_sweep_removes_leftovers_of_an_age(lake: Lake) -> None:
    """A sweep removes unreferenced shards, unfinished files, interrupted publishes and reports."""
    root = Path(lake.uri)
    [place] = lake.write_shard([ShardImage(image_id="0" * 64, raw=b"x", format="PNG")])
    orphan = old(root / place.shard, 48)
    unfinished = old(put(root / "shards", {".tmp-00-x.parquet": b"P"}) / ".tmp-00-x.parquet", 48)
    young = put(root / "shards", {".tmp-01-x.parquet": b"P"}) / ".tmp-01-x.parquet"
    pin = old(put(root / "published", {".tmp-00-x.json": b"{"}) / ".tmp-00-x.json", 48)
    report = old(put(root / "reports", {"r.html": b"<p>"}) / "r.html", 24 * 40)
    out = put(root.parent / "set", {"data/x": b"x"})
    killed = root.parent / ".set.tmp-0a1b2c3d"
    put(killed, {"data/x": b"x"})
    for path in (killed / "data" / "x", killed / "data", killed):
        old(path, 48)
    other = old(put(root.parent / ".other.tmp-0a1b2c3d", {"x": b""}), 48)
    day_s = 86_400.0
    said = sweep(lake, older_than_s=day_s, published=out, dry_run=True)
    assert len(said) == 4
    assert orphan.exists()
    swept = sweep(lake, older_than_s=day_s, published=out)
    assert {one.where for one in swept} == {
        place.shard,
        "shards/.tmp-00-x.parquet",
        "published/.tmp-00-x.json",
        str(killed),
    }
    assert not orphan.exists()
    assert not unfinished.exists()
    assert not pin.exists()
    assert not killed.exists()
    assert all(path.exists() for path in (young, report, out, other))
    assert check(lake, deep=True).damage == []
    [one] = sweep(lake, older_than_s=day_s, reports_older_than_s=30 * day_s)
    assert one.what == "report"
    assert not report.exists()


def test_a_lake_without_its_images_is_not_taken_for_an_empty_one(lake: Lake) -> None:
    """Commands that need an image name the damage."""
    shutil.rmtree(only(lake, "tables"))
    for work in (
        lambda: find_image(lake, IDS["1.png"][:12]),
        lambda: publish(lake, Path(lake.uri).parent / "out"),
        lambda: require_fit(lake, None),
        lambda: sweep(lake, older_than_s=86_400),
    ):
        with pytest.raises(StoreError, match="assay lake check --lake"):
            work()


def test_a_sweep_takes_nothing_from_a_lake_that_lost_its_images(lake: Lake) -> None:
    """A repair needs the shards that no row names."""
    shutil.rmtree(only(lake, "tables/images"))
    for shard in Path(lake.uri).glob("shards/*"):
        old(shard, 48)
    with pytest.raises(StoreError, match="has no images, but its table sightings has rows"):
        sweep(lake, older_than_s=86_400)
    with pytest.raises(StoreError, match="less than a running writer may need"):
        sweep(lake, older_than_s=60)


def test_a_lake_in_which_all_was_rejected_can_be_swept(tmp_path: Path) -> None:
    """Sightings without images are no damage if all are rejected."""
    lake = Lake(tmp_path / "rejected")
    ingest_folder(lake, put(tmp_path / "in", {"a.png": b"no picture"}))
    stray = Path(lake.path("shards/stray.parquet"))
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"")
    old(stray, 48)
    assert [one.where for one in sweep(lake, older_than_s=86_400)] == ["shards/stray.parquet"]


def test_an_age_is_a_number_and_a_unit(lake: Lake) -> None:
    """Any other age is refused with an example."""
    from assay.flows.commands.keeping.lake import sweep as sweep_command

    with pytest.raises(ConfigError, match="--older-than is 'soon'; allowed: a number"):
        sweep_command(lake=lake.uri, older_than="soon")


def test_what_cannot_be_read_now_is_not_taken_for_damaged(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission, check and repair stop and change nothing."""
    shard = only(lake, "shards/*.parquet")
    before = lake.version("images")

    def refuse(self: LocalStore, name: str) -> object:
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(LocalStore, "open_input", refuse)
    for work in (check, repair):
        with pytest.raises(StoreError, match=r"Permission denied.*; give this user permission"):
            work(Lake(lake.uri))
    monkeypatch.undo()
    assert shard.exists()
    assert lake.version("images") == before
    assert check(lake, deep=True).damage == []


def test_a_run_beside_another_that_stores_is_no_misfit(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Concurrent commits of images and sightings are no damage."""
    batch_id = lake.scan("sightings").collect()["batch_id"][0]
    done: list[str] = []

    def interleaved(read: Callable[..., pl.LazyFrame]) -> Callable[..., pl.LazyFrame]:
        def call(self: Lake, table: str, *args: Any, **settings: Any) -> pl.LazyFrame:
            frame = read(self, table, *args, **settings)
            if not done:
                done.append(table)
                put(tmp_path / "pics", {"9.png": picture(9)})
                ingest(tmp_path)
            return frame

        return call

    for name in ("scan", "rows_of"):
        monkeypatch.setattr(Lake, name, interleaved(getattr(Lake, name)))
    require_fit(lake, batch_id)
    assert done
    done.clear()
    (tmp_path / "pics" / "9.png").write_bytes(picture(10))
    assert check(lake).damage == []


def test_a_folder_that_cannot_be_locked_is_told_in_one_line(lake: Lake) -> None:
    """A lake that the user may not write to is named in one line."""
    lock = Path(lake.uri) / ".lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    with pytest.raises(StoreError, match=r"cannot write to .*\.lock"):
        repair(lake)


def test_a_lost_mark_is_told_with_what_to_write(lake: Lake) -> None:
    """A lake without its format file is one again once the file is written."""
    mark = Path(lake.uri) / "assay-lake.json"
    mark.unlink()
    with pytest.raises(StoreError, match=r'lost its assay-lake\.json.*write {"format": 1}'):
        Lake(lake.uri)
    mark.write_text('{"format": 1}')
    assert check(Lake(lake.uri), deep=True).damage == []


def test_what_works_on_all_images_misses_none_that_another_table_names(lake: Lake) -> None:
    """Rows without their image, as after a partial restore, are refused."""
    root = Path(lake.uri)
    shutil.copytree(root / "tables" / "images", root.parent / "backup")
    put(root.parent / "pics", {"9.png": picture(9, size=(48, 32))})
    ingest(root.parent)
    shutil.rmtree(root / "tables" / "images")
    shutil.copytree(root.parent / "backup", root / "tables" / "images")
    for work in (
        lambda: publish(lake, root.parent / "out"),
        lambda: run(Request(lake=lake.uri, detector="mini"), flow="score"),
    ):
        with pytest.raises(StoreError, match=r"names 1 image .*assay lake check --lake"):
            work()
    repair(lake)
    assert sum(publish(lake, root.parent / "out").splits.values()) == 5
