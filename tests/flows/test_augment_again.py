"""Plans that are run again, edited or with other files: only what is new is made."""

import io
import json
from pathlib import Path

import factories
import numpy as np
import polars as pl
import pytest
import tiny_sd3
from PIL import Image
from tiny_models import MINI_ON_TORCH, timm_tensors, write_hf

from assay.data.store.lake import Lake
from assay.flows.augmentation.loaded_tools import LoadedTools
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.generators.lora import WEIGHTS
from assay.synth.generators.protocol import CallableGenerator, FolderGenerator
from assay.synth.plan.plan_file import plan_of_dict
from assay.tasks.lake.repair import repair
from assay.tasks.synthesis import synthesize

ON_TORCH = {name: value for name, value in MINI_ON_TORCH.items() if name != "detector"}
LAYER = "transformer_blocks.0.attn.to_q"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three labelled photos; the last lies on its side."""
    folder = tmp_path_factory.mktemp("again") / "real"
    folder.mkdir()
    for index in range(2):
        factories.photo(seed=index, size=(64, 48)).save(folder / f"{index}.jpg", quality=85)
    turned = Image.Exif()
    turned[0x0112] = 6
    factories.photo(seed=2, size=(64, 48)).save(folder / "2.jpg", quality=85, exif=turned)
    return folder


@pytest.fixture
def request_(photos, tmp_path):
    """Create a lake of these photos."""
    lake = str(tmp_path / "lake")
    run(
        Request(lake=lake, sources=(str(photos),), label_from="parent-folder", **MINI_ON_TORCH),
        flow="ingest",
    )
    return Request(lake=lake, **MINI_ON_TORCH)


def made_by(request, make, *, generators=None, **told):
    plan = plan_of_dict({"make": make} | told, folder=".")
    return augment(request, plan, generators=generators)


def counts(result):
    return result.made, result.known, result.failed, result.equal


def launder(*conditions, name="launder", of="parents"):
    return {"method": "launder", "name": name, "of": of, "condition": list(conditions)}


def test_an_edited_plan_makes_only_what_is_new(request_):
    """A block changed, renamed, moved, with children, and more parents; every count adds up."""
    first, again = launder("jpeg-90", "half"), launder("jpeg-30", name="again", of="launder")
    two = {"choose": "real", "n": 2}
    assert counts(made_by(request_, [first, again], parents=two)) == (8, 0, 0, 0)
    wider = launder("jpeg-30", "jpeg-50", name="again", of="launder")
    changed = made_by(request_, [first, wider], parents=two)
    assert counts(changed) == (4, 8, 0, 0)
    # Each job of the plan is an item of its batch, stored now or known.
    assert (changed.moderation.items, changed.moderation.stored) == (12, 4)
    assert changed.table["pictures"].sum() == changed.table["scored"].sum() == 12
    renamed = [launder("noise-4", name="new"), first | {"name": "platforms"}]
    renamed += [wider | {"of": "platforms", "name": "hops"}]
    # Of three parents now: three new pictures, and two and four of the third by the others.
    result = made_by(request_, renamed, parents={"choose": "real", "n": 3})
    assert counts(result) == (3 + 2 + 4, 12, 0, 0)
    assert set(result.table["block"]) == {"new", "platforms", "hops"}
    images = Lake(request_.lake).scan("images").select(pl.len()).collect().item()
    assert images == 3 + 21


def test_equal_jobs_are_one_picture_and_told(request_):
    """Prompts that are repeated, and what two blocks have in common."""
    painter = CallableGenerator(
        generator_id="painter@1",
        function=lambda ask: np.full((32, 32, 3), ask.seed % 200, np.uint8),
    )
    make = [
        {"method": "text", "generator": "painter", "prompt": ["a", "a", "b"]},
        launder("jpeg-90", "half", name="one"),
        launder("half", "jpeg-50", name="two"),
    ]
    result = made_by(request_, make, generators={"painter": painter})
    assert counts(result) == (2 + 9, 0, 0, 1 + 3)
    assert "4 duplicate jobs skipped" in result.summary()
    assert result.to_json()["equal"] == 4
    assert result.moderation.items == 11
    # What two blocks share stands under both.
    shown = dict(result.table.group_by("block").agg(pl.col("pictures").sum()).iter_rows())
    assert shown == {"text": 2, "one": 6, "two": 6}


def test_a_mask_that_was_replaced_makes_another_picture(request_, tmp_path):
    """In the place of the first among the items of its batch; the others stay."""
    painter = CallableGenerator(
        generator_id="painter@1",
        function=lambda ask: np.where(ask.mask_hw[..., None], np.uint8(9), ask.parent_rgb),
    )
    masks = tmp_path / "masks"
    masks.mkdir()
    lake = Lake(request_.lake)
    upright = []
    for image_id, raw in lake.images(lake.scan("images").collect()["image_id"].to_list()):
        photo = Image.open(io.BytesIO(raw))
        upright += [] if photo.getexif() else [image_id]
        Image.new("L", photo.size, 255).save(masks / f"{image_id}.png")
    make = [{"method": "inpaint", "generator": "painter", "mask": str(masks)}]
    first = made_by(request_, make, generators={"painter": painter})
    assert first.made + first.failed == 3
    Image.new("L", (64, 48), 0).save(masks / f"{upright[0]}.png")
    second = made_by(request_, make, generators={"painter": painter})
    assert (second.made, second.known) == (1, first.made - 1)
    assert second.moderation.items == 3
    assert second.table["pictures"].sum() == first.made


def test_rows_of_the_first_version_count_where_the_pixels_are_the_same(request_, monkeypatch):
    """A photo that lies on its side was decoded otherwise then: its picture is made anew."""
    row_of = synthesize._row

    def first_version(job, made, **rest):
        row = row_of(job, made, **rest)
        params = json.loads(row["params"])
        del params["key_version"]
        return row | {"params": json.dumps(params | {"key": job.recipe})}

    make = [launder("half")]
    with monkeypatch.context() as patched:
        patched.setattr(synthesize, "_row", first_version)
        assert made_by(request_, make).made == 3
    assert counts(made_by(request_, make)) == (1, 2, 0, 0)


def test_a_picture_says_its_key_and_not_the_plan(request_):
    """So that two plans that ask for it make the same file."""
    assert made_by(request_, [launder("jpeg-90")]).made == 3
    lake = Lake(request_.lake)
    row = lake.scan("synthetics").collect().row(0, named=True)
    params = json.loads(row["params"])
    raw = lake.image(row["image_id"])
    assert f'assay:Origin="{params["key"]}"'.encode() in raw
    assert params["batch_id"].encode() not in raw
    assert Image.open(io.BytesIO(raw)).format == "JPEG"


def test_keys_see_the_files_behind_names(tmp_path):
    """Adapters, autoencoders and configurations by content, wherever they lie."""
    folder = tiny_sd3.tiny_folder(tmp_path / "tiny")
    adapter = tmp_path / "adapter"
    tiny_sd3.adapter_file(adapter, shapes={LAYER: (32, 32)})

    def painted(lora=f"{adapter}:1.0", generator=folder):
        settings = {"generator": str(generator), "lora": lora, "prompt": "x"}
        # As each run has its own.
        return LoadedTools(Request(lake="x")).contents_of("text", settings, None).pixels

    first = painted()
    assert painted() == first
    moved = adapter.rename(tmp_path / "moved")
    assert painted(lora=f"{moved}:1.0") == first
    (moved / WEIGHTS).unlink()
    moved.rmdir()
    tiny_sd3.adapter_file(moved, shapes={LAYER: (32, 32)}, up=0.4)
    assert painted(lora=f"{moved}:1.0") != first
    scheduler = folder / "scheduler" / "scheduler_config.json"
    told = json.loads(scheduler.read_text())
    scheduler.write_text(json.dumps(told | {"shift": 1.5}))
    assert painted(lora=f"{moved}:1.0")["generator"] != first["generator"]


def test_keys_see_the_detector_that_is_attacked(tmp_path):
    """Its weights and which way its logit points, whether it scores or is named by the plan."""

    def attacked(settings):
        request = Request(lake="x", detector=str(tmp_path), **ON_TORCH)
        return LoadedTools(request).contents_of("attack", settings, None).pixels["detector"]

    found = []
    for seed, positive in ((0, "fake"), (1, "fake"), (1, "real")):
        write_hf(tmp_path, timm_tensors(seed=seed), positive=positive)
        found.append(attacked({}))
        assert attacked({"detector": str(tmp_path)}) == found[-1]
    assert found[0] != found[1] != found[2]


def test_a_folder_of_finished_pictures_is_known_by_them(tmp_path):
    """A picture that was replaced changes what the folder makes."""
    factories.photo(seed=0, size=(16, 16)).save(tmp_path / "a.png")
    generator = FolderGenerator(folder=tmp_path, generator_id="mine")
    before = generator.contents
    assert FolderGenerator(folder=str(tmp_path), generator_id="mine").contents == before
    factories.photo(seed=1, size=(16, 16)).save(tmp_path / "a.png")
    assert generator.contents != before


def test_pictures_that_a_repair_found_lost_are_made_again(request_):
    """With the rows that tell how they were made still there, as with those gone."""
    assert counts(made_by(request_, [launder("jpeg-90")])) == (3, 0, 0, 0)
    lake = Lake(request_.lake)
    made = lake.scan("synthetics").select("image_id").collect()
    shards = lake.scan("images").join(made.lazy(), on="image_id", how="semi").collect()["shard"]
    for shard in set(shards):
        (Path(lake.uri) / shard).unlink()
    assert repair(lake).lost_images == sorted(made["image_id"])
    again = made_by(request_, [launder("jpeg-90")])
    assert (again.known, again.failed, again.table["scored"].sum()) == (0, 0, 3)
    assert dict(lake.images(made["image_id"].to_list())).keys() == set(made["image_id"])
