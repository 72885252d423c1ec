"""A forgotten image leaves the lake in all its versions, and stays out."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import KEY, Made, Shot, decisions_of, drawn, lake_of, reviewed

from assay.data.errors import ConfigError, InputError, StoreError
from assay.data.sources.find import SourceOptions, find_items
from assay.data.store import tables
from assay.data.store.lake import Lake
from assay.data.store.shards import ShardImage
from assay.flows.cli import app
from assay.tasks.accountability.verify_log import verify_log
from assay.tasks.audit.audits import draw_audit
from assay.tasks.browse.find_image import find_image
from assay.tasks.ingest import ingest_chunk
from assay.tasks.lake import forget as forget_module
from assay.tasks.lake.check import check
from assay.tasks.lake.compact import compact
from assay.tasks.lake.forget import forget
from assay.tasks.lake.repair import repair
from assay.tasks.lake.restore import restore
from assay.tasks.lake.sweep import MIN_AGE_S
from assay.tasks.lake.vacuum import vacuum
from assay.tasks.measures.measures import measure_images
from assay.tasks.publish.publish import publish
from assay.tasks.similar.index import open_index

DERIVED = ("images", "scores", "views", "deliveries", "measures")


def shots(n: int = 3) -> list[Shot]:
    return [Shot(name=f"p{i}", seed=i, prob=0.1 + 0.2 * i) for i in range(n)]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return lake_of(tmp_path / "lake", shots())


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        shot = next(shot for shot in shots() if shot.name == name)
        (folder / f"{name}.jpg").write_bytes(drawn(shot))
    return folder


def ingested(lake: Lake, folder: Path, run_id: str = "r1") -> object:
    items = list(find_items([str(folder)], SourceOptions()))
    return ingest_chunk(
        lake,
        items,
        batch_id="b-1",
        run_id=run_id,
        chunk_index=0,
        options=SourceOptions(),
        n_workers=1,
    )


def files_with(folder: Path, raw: bytes) -> list[str]:
    """Return the files below a folder that contain some bytes."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if raw in path.read_bytes())


def rows_about(folder: Path, image_id: str) -> dict[str, int]:
    """Return the rows about an image in every data file of a lake, of whatever version."""
    found: dict[str, int] = {}
    for file in folder.glob("tables/*/*.parquet"):
        rows = pq.read_table(file)
        if "image_id" in rows.column_names:
            n = rows.column("image_id").to_pylist().count(image_id)
            table = file.parent.name
            found[table] = found.get(table, 0) + n
    return found


def test_nothing_of_the_image_is_left_in_any_version(made: Made) -> None:
    """Its bytes are in no file, and no data file, also of older versions, has a derived row."""
    lake, root = made.lake, Path(made.lake.uri)
    measure_images(lake, list(made.ids.values()))
    compact(lake)
    lake.write("reports/" + made.run_id + ".html", b"a picture")
    raw, image_id = lake.image(made.ids["p1"]), made.ids["p1"]
    assert files_with(root, raw)
    done = forget(lake, [image_id], by="ann", reason="asked  for\nit")
    assert done.erased.rows == {"images": 1, "scores": 1, "measures": 1}
    assert files_with(root, raw) == []
    left = rows_about(root, image_id)
    assert [left.get(table, 0) for table in DERIVED] == [0, 0, 0, 0, 0]
    assert left["decisions"] == 1
    assert list((root / "reports").iterdir()) == []
    tombstones = lake.scan("forgotten").collect().sort("at")
    assert tombstones["is_erased"].to_list() == [False, True]
    assert tombstones["reason"].to_list() == ["asked for it", None]
    assert tombstones["by"].to_list() == ["ann", "ann"]


def test_no_file_of_the_lake_or_of_this_machine_has_its_hashes(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither numbers of columns, the similarity index, nor old versions, also after a vacuum."""
    lake, root, cache = made.lake, Path(made.lake.uri), tmp_path / "cache"
    monkeypatch.setenv("ASSAY_CACHE", str(cache))
    monkeypatch.setattr(tables, "MIN_ROWS", 0)
    measure_images(lake, list(made.ids.values()))
    compact(lake)
    image_id = made.ids["p1"]
    facts = lake.rows_of("images", [image_id]).collect().row(0, named=True)
    pdq = lake.rows_of("measures", [image_id]).collect()["pdq"].item()
    for table, column, value in (
        ("images", "phash", facts["phash"]),
        ("measures", "pdq", pdq),
        ("decisions", "image_id", image_id),
    ):
        assert lake.rows_of(table, [value], column=column).collect().height == 1
    open_index(lake, KEY)
    number, id_in_index = int(facts["phash"], 16).to_bytes(8, "little"), bytes.fromhex(image_id)
    assert files_with(cache, number)
    assert files_with(cache, id_in_index)
    app(["forget", image_id, "--yes", "--lake", lake.uri], result_action="return_value")
    vacuum(lake, older_than_s=MIN_AGE_S, now_s=time.time() + 2 * MIN_AGE_S)
    for folder in (root, cache):
        for raw in (number, id_in_index, facts["phash"].encode(), pdq.encode()):
            assert files_with(folder, raw) == []
    texts = [
        set(column.to_pylist())
        for file in root.glob("tables/*/*.parquet")
        for column in pq.read_table(file).itercolumns()
        if pa.types.is_string(column.type)
    ]
    assert not any({facts["phash"], pdq} & some for some in texts)


def test_shards_are_read_if_rows_name_them_for_the_image_or_not_at_all(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run left the second shard; the third has other images: a second call reads it."""
    lake, raw = made.lake, drawn(shots()[1])
    own = lake.scan("images").collect()["shard"].unique().item()
    (left,) = {
        place.shard
        for place in lake.write_shard([ShardImage(image_id=made.ids["p1"], raw=raw, format="JPEG")])
    }
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "other.jpg").write_bytes(drawn(Shot(name="other", seed=9)))
    ingested(lake, tmp_path / "in")
    (other,) = {file.name for file in lake.store.files("shards")} - {own, left}
    read: list[str] = []
    real = forget_module.has_bytes_of
    monkeypatch.setattr(
        forget_module, "has_bytes_of", lambda *args: read.append(args[1]) or real(*args)
    )
    done = forget(lake, [made.ids["p1"]], by="ann")
    assert set(read) == set(done.erased.shards) == {own, left}
    assert files_with(Path(lake.uri), raw) == []
    read.clear()
    forget(lake, [made.ids["p1"]], by="ann")
    assert set(read) == {own, left, other}


def test_the_other_images_stay_as_they_were(made: Made) -> None:
    """They have their bytes, rows and places; the check finds no damage, and the log verifies."""
    before = {name: made.lake.image(made.ids[name]) for name in ("p0", "p2")}
    decided = decisions_of(made)
    forget(made.lake, [made.ids["p1"]], by="ann")
    assert {name: made.lake.image(made.ids[name]) for name in ("p0", "p2")} == before
    assert decisions_of(made).equals(decided)
    assert verify_log(made.lake).faults == ()
    health = check(made.lake, deep=True)
    assert health.damage == []
    assert (health.images, health.forgotten) == (2, 1)
    with pytest.raises(StoreError, match="was forgotten"):
        made.lake.image(made.ids["p1"])


def test_ingest_refuses_the_same_bytes_and_takes_a_near_copy(tmp_path: Path) -> None:
    """The item is rejected as forgotten, at a known and at a new address; a copy is stored."""
    lake = Lake(tmp_path / "lake")
    folder = pictures(tmp_path / "in", "p0", "p1")
    ingested(lake, folder)
    image_id = hashlib.sha256((folder / "p0.jpg").read_bytes()).hexdigest()
    forget(lake, [image_id], by="ann")
    again = ingested(lake, folder, "r2")
    assert (again.stored, again.rejected_by_reason) == (1, {"forgotten": 1})
    (folder / "new.jpg").write_bytes((folder / "p0.jpg").read_bytes())
    copy = Shot(name="copy", seed=0, quality=60)
    (folder / "copy.jpg").write_bytes(drawn(copy))
    third = ingested(lake, folder, "r3")
    assert (third.items, third.stored, third.rejected_by_reason) == (4, 2, {"forgotten": 2})
    assert lake.has_rows_of("images", [image_id]) == set()
    assert check(lake, deep=True).damage == []


def test_a_run_that_looked_before_does_not_bring_the_image_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is forgotten between its reading and its commit is rejected."""
    from assay.tasks import ingest

    lake = Lake(tmp_path / "lake")
    folder = pictures(tmp_path / "in", "p0")
    ingested(lake, folder)
    image_id = hashlib.sha256((folder / "p0.jpg").read_bytes()).hexdigest()
    (folder / "again.jpg").write_bytes((folder / "p0.jpg").read_bytes())
    real = ingest.commit_outcomes

    def forgotten_before(*args: object, **more: object) -> object:
        forget(Lake(tmp_path / "lake"), [image_id], by="ann")
        return real(*args, **more)

    monkeypatch.setattr(ingest, "commit_outcomes", forgotten_before)
    counts = ingested(lake, folder, "r2")
    assert counts.rejected_by_reason == {"forgotten": 1}
    assert lake.scan("images").collect().is_empty()
    assert lake.scan("scores").collect().is_empty()


def test_scores_that_come_late_are_not_kept(made: Made) -> None:
    """A run that scored the image before commits the other rows alone."""
    rows = made.lake.scan("scores").collect().with_columns(precision=pl.lit("int8"))
    forget(made.lake, [made.ids["p1"]], by="ann")
    made.lake.append("scores", rows, txn="late")
    late = made.lake.scan("scores").filter(pl.col("precision") == "int8").collect()
    assert sorted(late["image_id"]) == sorted([made.ids["p0"], made.ids["p2"]])


def test_older_versions_stay_readable_and_a_restore_brings_nothing_back(made: Made) -> None:
    """The version before has the other images; restored, the lake is whole and without it."""
    lake = made.lake
    version = lake.version("images")
    compact(lake)
    forget(lake, [made.ids["p1"]], by="ann")
    others = {made.ids["p0"], made.ids["p2"]}
    fresh = Lake(lake.uri)
    assert set(fresh.scan("images", version).collect()["image_id"]) == others
    reviewed(made, "p0", "real")
    for table in ("images", "scores"):
        restore(fresh, 0, table=table)
        restore(fresh, 1, table=table)
    assert set(fresh.scan("images").collect()["image_id"]) == others
    assert check(fresh, deep=True).damage == []
    with pytest.raises(InputError, match="is not restored"):
        restore(fresh, 0, table="forgotten")


def test_the_next_publication_is_without_it(made: Made, tmp_path: Path) -> None:
    """The dataset has the other images, and its card and lock count them."""
    forget(made.lake, [made.ids["p1"]], by="ann")
    result = publish(made.lake, tmp_path / "out")
    assert sum(result.splits.values()) == 2


def test_two_calls_and_a_repeated_one_end_in_the_same_state(made: Made) -> None:
    """The second call finds nothing left; a third one about two images erases the other."""
    first = forget(made.lake, [made.ids["p1"]], by="ann")
    second = forget(Lake(made.lake.uri), [made.ids["p1"]], by="bob")
    assert (first.n_before, second.n_before, second.erased.rows) == (0, 1, {})
    third = forget(made.lake, [made.ids["p1"], made.ids["p2"]], by="ann")
    assert third.erased.rows == {"images": 1, "scores": 1}
    assert check(made.lake, deep=True).damage == []


def test_repair_does_not_bring_a_forgotten_image_back(made: Made) -> None:
    """Also if the table of images is lost, and all images are taken from the shards again."""
    lake = made.lake
    forget(lake, [made.ids["p1"]], by="ann")
    for file in Path(lake.path("tables", "images")).glob("*.parquet"):
        file.unlink()
    repair(lake)
    assert set(lake.scan("images").collect()["image_id"]) == {made.ids["p0"], made.ids["p2"]}
    assert check(lake, deep=True).damage == []


@pytest.mark.parametrize(
    ("ids", "kind", "words"),
    [
        ([], ConfigError, "no image is named"),
        (["0123"], InputError, "1 text is no id of an image: 0123; allowed: 64 hex"),
        (["0" * 64], InputError, "1 id is no image of"),
    ],
)
def test_a_wrong_id_changes_nothing(
    made: Made, ids: list[str], kind: type[Exception], words: str
) -> None:
    """No id, a text that is none, and one of no image: nothing is written."""
    with pytest.raises(kind, match=words):
        forget(made.lake, ids, by="ann")
    assert made.lake.version("forgotten") is None


def test_the_command_asks_for_a_confirmation(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--yes` nothing is changed; `--dry-run` counts; `--ids` names images by a file."""
    listed = tmp_path / "ids.txt"
    listed.write_text(made.ids["p1"] + "\n")

    def run(*words: str) -> None:
        app(["forget", *words, "--lake", made.lake.uri], result_action="return_value")

    with pytest.raises(ConfigError, match="cannot be undone"):
        run("--ids", str(listed))
    run(made.ids["p1"], "--dry-run", "--json")
    writes = json.loads(capsys.readouterr().out)["writes"]
    assert [(one["count"], one["what"]) for one in writes][:3] == [
        (1, "images to forget"),
        (1, "rows of images to remove"),
        (1, "rows of scores to remove"),
    ]
    assert made.lake.version("forgotten") is None
    run("--ids", str(listed), "--by", "ann", "--yes", "--json")
    assert json.loads(capsys.readouterr().out)["image_ids"] == [made.ids["p1"]]
    assert made.lake.n_rows("images") == 2


def test_commands_say_that_it_was_forgotten(made: Made) -> None:
    """A search by id and by address says so; an audit draws the others."""
    image_id = made.ids["p1"]
    forget(made.lake, [image_id], by="ann")
    with pytest.raises(InputError, match=f"image {image_id[:16]} of .* was forgotten"):
        find_image(made.lake, image_id[:12])
    with pytest.raises(InputError, match=r"forgotten on request, .*\(forgotten\)"):
        find_image(made.lake, "file:///pictures/p1")
    _, sample = draw_audit(made.lake, n_images=100, cleared_share=1.0, is_stored=False)
    assert set(sample["image_id"]) == {made.ids["p0"], made.ids["p2"]}


def test_the_log_of_a_table_has_no_perceptual_hash(made: Made) -> None:
    """Delta's bounds would keep the hash of the first and the last image."""
    hashes = made.lake.scan("images").collect()["phash"].to_list()
    compact(made.lake)
    for entry in Path(made.lake.path("tables", "images", "_delta_log")).glob("*.json"):
        assert not any(one in entry.read_text() for one in hashes)


def test_two_calls_at_once_and_a_run_end_without_the_images(made: Made, tmp_path: Path) -> None:
    """Each of three writers at once completes, and nothing is left of the two images."""
    folder = pictures(tmp_path / "in", "p0", "p1", "p2")
    calls = [
        lambda: forget(Lake(made.lake.uri), [made.ids["p0"]], by="ann"),
        lambda: forget(Lake(made.lake.uri), [made.ids["p1"]], by="bob"),
        lambda: ingested(Lake(made.lake.uri), folder),
    ]
    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result(timeout=60)
    lake = Lake(made.lake.uri)
    assert lake.scan("images").collect()["image_id"].to_list() == [made.ids["p2"]]
    assert check(lake, deep=True).damage == []
