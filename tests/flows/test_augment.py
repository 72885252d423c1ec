"""A plan from parents to a report: labelled, traceable, resumable, and honest about who evades."""

import io
import json
import shutil
import signal
from pathlib import Path

import factories
import numpy as np
import polars as pl
import pytest
import tiny_sd3
from augmenting import KILLED, killed_at, on_a_full_disk
from PIL import Image
from processes import PROCESSES
from tiny_models import MINI_ON_TORCH

from assay.data.errors import ConfigError, InputError, SynthError
from assay.data.store.lake import Lake
from assay.flows.augment import augment_flow
from assay.flows.augmentation.run import augment
from assay.flows.cli import main
from assay.flows.request import Request
from assay.flows.run import run
from assay.synth.generators.presets import LARGE
from assay.synth.generators.protocol import CallableGenerator
from assay.synth.generators.registry import named_from_here
from assay.synth.plan.plan_file import plan_of_dict, read_plan
from assay.tasks.evasion.table import distinct_settings, evasion_table, table_text, wilson

pytestmark = pytest.mark.xdist_group("forked")  # one process makes the lakes they share, and forks


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Create a lake of five labelled photos, and a generator."""
    root = tmp_path_factory.mktemp("augment")
    folder = root / "pictures" / "real"
    folder.mkdir(parents=True)
    for index in range(4):
        factories.photo(seed=index, size=(160, 120)).save(folder / f"{index}.jpg", quality=85)
    # Too small for laundering: its rows must fail and nothing else.
    factories.photo(seed=9, size=(12, 40)).save(folder / "small.png")
    tiny_sd3.tiny_folder(root / "tiny")
    run(
        Request(
            lake=str(root / "photos"),
            sources=(str(root / "pictures"),),
            label_from="parent-folder",
            **MINI_ON_TORCH,
        )
    )
    return root


def lake_of(base, name):
    """Return the request of a copy of the lake."""
    shutil.copytree(base / "photos", base / name)
    return Request(lake=str(base / name), **MINI_ON_TORCH)


def plan_for(base, **told):
    tiny = str(base / "tiny")
    make = [
        {"method": "aligned", "autoencoder": tiny, "dct_blend": [1.0, 0.5]},
        {"method": "image-to-image", "generator": tiny, "strength": 0.5, "steps": 2},
        {"method": "inpaint", "generator": tiny, "mask": "half", "steps": 2},
        {"method": "text", "generator": tiny, "prompt": "a sign", "times": 2, "steps": 1},
        {"method": "launder", "condition": ["jpeg-50", "half"]},
        {"name": "again", "method": "launder", "of": "text", "condition": "jpeg-30"},
        {"method": "attack", "of": "text", "epsilon": 2, "steps": 2},
        {"method": "latent-attack", "of": "text", "autoencoder": tiny, "steps": 2},
    ]
    return plan_of_dict({"make": make} | told, folder=base)


@pytest.fixture(scope="module")
def done(base):
    request = lake_of(base, "lake")
    return request, augment(request, plan_for(base))


def rows_of(request):
    return Lake(request.lake, create=False).scan("synthetics").collect()


def test_every_picture_has_its_lineage(done):
    """Parent, method, generator, seed and settings, for each; and its parent is there."""
    request, result = done
    rows = rows_of(request)
    # Of five parents: 10 aligned, 5 + 5 painted; 2 texts; 8 laundered of the four large ones.
    counts = dict(rows.group_by("method").len().iter_rows())
    assert counts["aligned"] == 10
    assert counts["text"] == counts["attack"] == counts["latent-attack"] == 2
    assert counts["launder"] == 10
    assert result.made == len(rows)
    images = set(Lake(request.lake, create=False).scan("images").collect()["image_id"])
    assert set(rows["image_id"]) <= images
    assert set(rows["parent_id"].drop_nulls()) <= images
    assert rows.filter(pl.col("method") != "text")["parent_id"].null_count() == 0
    assert rows["seed"].n_unique() == len(rows)
    aligned = rows.filter(pl.col("method") == "aligned").row(0, named=True)
    assert aligned["generator"].startswith("tiny/vae@")
    assert json.loads(aligned["params"])["settings"]["dct_blend"] in {1.0, 0.5}


def test_labels_stay_three_way(done):
    """What was painted is fake, a photo saved again is laundered, a fake saved again stays fake."""
    request, _ = done
    rows = rows_of(request).with_columns(block=pl.col("params").str.json_path_match("$.block"))
    labels = {block: set(part["label"]) for (block,), part in rows.group_by("block")}
    assert labels.pop("launder") == {"laundered"}
    assert all(found == {"fake"} for found in labels.values()), labels


def test_fakes_say_so_in_their_files_and_laundered_photos_do_not(done):
    """Read back by the ingest that every file goes through."""
    request, _ = done
    lake = Lake(request.lake, create=False)
    found = rows_of(request).join(
        lake.scan("images").select("image_id", "ai_declared").collect(), on="image_id"
    )
    said = {method: set(part["ai_declared"]) for (method,), part in found.group_by("method")}
    assert said["aligned"] == {"iptc: trainedAlgorithmicMedia"}
    assert said["inpaint"] == {"iptc: compositeWithTrainedAlgorithmicMedia"}
    assert said["launder"] == {None, "iptc: trainedAlgorithmicMedia"}


def test_what_cannot_be_made_is_a_row_and_the_rest_goes_on(done):
    """The small parent is refused by both conditions and by the generator, with the reason."""
    request, result = done
    lake = Lake(request.lake, create=False)
    failed = lake.scan("sightings").filter(pl.col("reason") == "not_made").collect()
    assert result.failed == len(failed) == 4
    told = " ".join(failed["detail"])
    assert told.count("at least 16 px; seen 12x40") == 2
    assert told.count("cannot make 16x48 px; allowed: areas from 32x32") == 2


def test_running_it_again_makes_nothing(done, base):
    """And gives the same table."""
    request, first = done
    again = augment(request, plan_for(base))
    assert (again.made, again.known) == (0, first.made)
    assert again.table.equals(first.table)


def test_every_made_picture_is_scored_and_counted(done):
    """The table's pictures are all there are; shares lie within their intervals."""
    _, result = done
    table = result.table
    assert table["pictures"].sum() == result.made
    assert (table["scored"] == table["pictures"]).all()
    assert ((table["low"] <= table["share"]) & (table["share"] <= table["high"])).all()
    page = Path(result.evasion_report).read_text()
    assert "Evasion of mini@" in page
    assert "<script" not in page
    assert page.count("<figure>") >= 10
    assert "Stability" not in page  # none of its pictures is there
    assert "assay publish" in result.summary()


def test_another_seed_makes_other_pictures(base):
    """And the same seed the same bytes in another lake."""
    make = [{"method": "text", "generator": str(base / "tiny"), "prompt": "x", "steps": 1}]
    ids = []
    for name, seed in (("s0", 0), ("s1", 0), ("s2", 1)):
        request = Request(lake=str(base / name), **MINI_ON_TORCH)
        augment(request, plan_for(base, make=make, seed=seed))
        ids.append(rows_of(request)["image_id"][0])
    pixels = [
        np.asarray(Image.open(io.BytesIO(Lake(str(base / n)).image(i))))
        for n, i in zip(("s0", "s1", "s2"), ids, strict=True)
    ]
    assert ids[0] == ids[1]
    assert (pixels[0] != pixels[2]).any()


def test_parents_can_be_chosen_by_a_condition_or_nearness(base):
    """Only what fits; nothing that fits is an error that says what to do."""
    request = lake_of(base, "chosen")
    make = [{"method": "launder", "condition": "jpeg-90"}]
    told = {"choose": "near", "n": 2, "where": "width_px > 100"}
    assert augment(request, plan_for(base, make=make, parents=told)).made == 2
    with pytest.raises(InputError, match=r"no parents.*label images first"):
        augment(request, plan_for(base, make=make, parents={"choose": "fake"}))
    with pytest.raises(ConfigError, match=r"is not a condition on the images.*columns: image_id"):
        augment(request, plan_for(base, make=make, parents={"where": "width_furlongs > 1"}))


def test_a_generator_that_is_not_there_is_said_before_the_work(base):
    """Exit code 5, and no run is recorded."""
    request = lake_of(base, "missing")
    before = Lake(request.lake).version("runs")
    make = [{"method": "aligned", "autoencoder": str(base / "nowhere")}]
    with pytest.raises(SynthError, match="no autoencoder is named"):
        augment(request, plan_for(base, make=make))
    assert Lake(request.lake).version("runs") == before


@pytest.mark.parametrize(("method", "at"), [("write_shard", 1), ("append", 2), ("append", 3)])
def test_killed_at_any_commit_the_next_run_completes_it(base, method, at):
    """Every job ends with one picture and one lineage row, as if nothing had happened."""
    request = lake_of(base, f"killed-{method}-{at}")
    child = PROCESSES.Process(target=killed_at, args=(base, request.lake, method, at))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    result = augment(request, plan_for(base, make=KILLED))
    rows = rows_of(request)
    assert len(rows) == rows["image_id"].n_unique() == result.made + result.known == 8
    made = Lake(request.lake).scan("images").collect()
    assert len(made) == 5 + 8


def test_a_full_disk_is_an_error_of_the_store_and_nothing_half_written_counts(base):
    """Exit code 4; with room again the next run makes every picture, once."""
    (base / "full.toml").write_text(
        '[[make]]\nmethod = "launder"\ncondition = ["jpeg-90", "half"]\n'
    )
    request = lake_of(base, "full")
    child = PROCESSES.Process(target=on_a_full_disk, args=(base, request.lake, 30_000))
    child.start()
    child.join()
    assert child.exitcode == 4
    lake = Lake(request.lake, create=False)
    assert len(lake.scan("images").collect()) == 5
    assert len(lake.scan("synthetics").collect()) == 0
    assert "failed" in set(lake.scan("runs").collect()["status"])
    result = augment(request, read_plan(base / "full.toml"))
    assert (result.made, result.known) == (8, 0)
    for image_id in rows_of(request)["image_id"]:
        assert lake.image(image_id)


def test_the_command_prints_its_example_and_runs_a_plan(base, tmp_path, capsys):
    """`synth example` and `synth augment --json`."""
    main(["synth", "example"])
    assert "[[make]]" in capsys.readouterr().out
    request = lake_of(base, "command")
    (tmp_path / "plan.toml").write_text('[[make]]\nmethod = "launder"\ncondition = "jpeg-70"\n')
    told = ["--lake", request.lake, "--detector", "mini", "--backend", "torch", "--json"]
    main(["synth", "augment", str(tmp_path / "plan.toml"), *told])
    answer = json.loads(capsys.readouterr().out)
    assert answer["made"] == 4
    assert answer["evasion"][0]["setting"] == "jpeg-70"


def test_a_given_memory_says_how_the_generator_is_loaded(base, tmp_path, capsys):
    """One line on stderr before the work, and none where no memory was given."""
    request = lake_of(base, "memory")
    text = f'method = "text"\ngenerator = "{base / "tiny"}"\nprompt = "a sign"\nsteps = 1'
    size = "width = 32\nheight = 32"
    (tmp_path / "plan.toml").write_text(f"[[make]]\n{text}\n{size}\n")
    told = ["synth", "augment", str(tmp_path / "plan.toml"), "--lake", request.lake]
    told += ["--detector", "mini", "--backend", "torch"]
    main([*told, "--memory", "8GB", "--generator-precision", "bf16", "--generator-device", "cpu"])
    said = capsys.readouterr()
    assert f"{base / 'tiny'}: bf16, without T5: about" in said.err
    assert "1 image made" in said.out
    main(told)
    assert "about" not in capsys.readouterr().err


def test_masks_can_be_given_by_image(base, tmp_path):
    """White is painted anew; none for a picture, or one of another size, is a failed row."""
    request = lake_of(base, "masks")
    images = Lake(request.lake).scan("images").collect()
    large = images.filter(pl.col("width_px") == 160)["image_id"].to_list()
    left = np.zeros((120, 160), np.uint8)
    left[:, :40] = 255
    Image.fromarray(left).save(tmp_path / f"{large[0]}.png")
    Image.fromarray(left[:, :100]).save(tmp_path / f"{large[1]}.png")
    (tmp_path / f"{large[2]}.png").write_bytes(b"none")
    make = [
        {"method": "inpaint", "generator": str(base / "tiny"), "mask": str(tmp_path), "steps": 2}
    ]
    result = augment(request, plan_for(base, make=make))
    assert (result.made, result.failed) == (1, 4)
    (row,) = rows_of(request).iter_rows(named=True)
    assert row["parent_id"] == large[0]
    assert json.loads(row["params"])["painted_share"] == 0.25
    # Of those without a mask, one reason, though each names another file.
    assert result.failures[0][1] == 2
    assert "add IMAGE_ID.png" in result.failures[0][0]
    told = " ".join(Lake(request.lake).scan("sightings").collect()["detail"].drop_nulls().to_list())
    assert "is 100x120 px and its image 160x120 px; both must have the same size" in told
    assert "has no mask for this image" in told
    assert "cannot be read" in told


def test_a_plan_paints_along_control_pictures(base, tmp_path):
    """Edges drawn of each parent, and depth given for one; the others are failed rows."""
    tiny_sd3.tiny_controlnet(tmp_path / "net")
    request = lake_of(base, "control")
    images = Lake(request.lake).scan("images").collect()
    first = images.filter(pl.col("width_px") == 160)["image_id"][0]
    (tmp_path / "depth").mkdir()
    Image.new("RGB", (160, 120), "grey").save(tmp_path / "depth" / f"{first}.png")
    told = {"method": "control", "generator": str(base / "tiny"), "steps": 2}
    told["controlnet"] = str(tmp_path / "net")
    make = [
        told | {"control": ["canny", "blur"]},
        told | {"name": "deep", "control": "depth", "controls": str(tmp_path / "depth")},
    ]
    result = augment(request, plan_for(base, make=make))
    # Two controls of four parents and one given; the small parent fails thrice.
    assert (result.made, result.failed) == (9, 6)
    rows = rows_of(request)
    assert set(rows["label"]) == {"fake"}
    assert rows["strength"].null_count() == len(rows)
    lake = Lake(request.lake)
    for row in rows.iter_rows(named=True):
        assert Image.open(io.BytesIO(lake.image(row["image_id"]))).size == (160, 112)
    with pytest.raises(ConfigError, match="control needs controlnet = FOLDER"):
        plan_for(base, make=[{"method": "control", "generator": "x"}])


def test_a_function_can_stand_in_for_a_generator(base):
    """Under a name of the plan; its pictures have its id and licence flags."""
    red = CallableGenerator(
        generator_id="painter@1",
        function=lambda ask: np.full((40, 40, 3), ask.seed % 200, np.uint8),
        license_flags=("house_use_only", *LARGE.license_flags),
    )
    request = Request(lake=str(base / "function"), **MINI_ON_TORCH)
    make = [{"method": "text", "generator": "painter", "prompt": "x", "times": 2}]
    result = augment(request, plan_for(base, make=make), generators={"painter": red})
    assert result.made == 2
    rows = rows_of(request)
    assert set(rows["generator"]) == {"painter@1"}
    assert rows["license_flags"].to_list() == [["house_use_only", *LARGE.license_flags]] * 2
    page = Path(result.evasion_report).read_text()
    assert "Powered by Stability AI. This Stability AI Model is licensed" in page


def test_wilsons_interval_is_the_textbooks():
    """Eight of ten at 95 %: 0.490 to 0.943 (Wilson 1927); none and all stay within [0, 1]."""
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0


def test_settings_are_told_by_what_differs_within_their_block():
    """What all pictures of a block share is left out, unless nothing else is left."""
    blocks = ["a", "a", "b", "c"]
    settings = [["generator x", "strength 0.3"], ["generator x", "strength 0.6"], ["half"], []]
    assert distinct_settings(blocks, settings) == [
        "strength 0.3",
        "strength 0.6",
        "half",
        "default settings",
    ]


def test_pictures_without_a_score_are_counted_as_such():
    """Neither as evading nor as caught."""
    rows = pl.DataFrame(
        {
            "block": ["b"] * 3,
            "method": ["text"] * 3,
            "setting": ["s"] * 3,
            "label": ["fake"] * 3,
            "logit": [-2.0, 2.0, None],
            "prob_fake": [0.1, 0.9, None],
            "parent_logit": [None, 1.0, 1.0],
            "evades": [True, False, None],
            "is_flagged": [False, True, None],
            "clip_cosine": [0.2, None, 0.3],
            "text_readable_share": pl.Series([None] * 3, dtype=pl.Float64),
        }
    )
    (row,) = evasion_table(rows).iter_rows(named=True)
    assert (row["pictures"], row["scored"], row["evades"], row["flagged"]) == (3, 2, 1, 1)
    assert row["share"] == 0.5
    assert row["logit_change"] == 1.0
    # What was measured when they were made counts whether or not they were scored since.
    assert row["clip_cosine"] == pytest.approx(0.25)
    lines = table_text(evasion_table(rows)).splitlines()
    assert lines[1].startswith("b: s ")
    assert lines[-1] == "b: s: CLIP cosine to the prompt 0.250 (means)"


def test_the_summary_says_why_pictures_failed_and_the_command_ends_with_5(base, tmp_path, capsys):
    """A plan of which nothing can be made; its rows are there."""
    request = Request(lake=str(base / "failing"), **MINI_ON_TORCH)

    def fails(_ask):
        raise KeyError("colour")

    make = [{"method": "text", "generator": "painter", "prompt": "x", "times": 22}]
    painter = CallableGenerator(generator_id="painter@1", function=fails)
    result = augment(request, plan_for(base, make=make), generators={"painter": painter})
    assert (result.made, result.failed) == (0, 22)
    assert result.failures[0] == ("painter@1 failed: KeyError: 'colour'", 20)
    assert result.failures[1][0].startswith("not tried: painter@1 failed 20 times in a row")
    assert "not made    20: painter@1 failed: KeyError: 'colour'" in result.summary()
    assert result.to_json()["not_made_because"][0]["images"] == 20
    with pytest.raises(ConfigError, match="wrap a function as CallableGenerator"):
        augment(request, plan_for(base, make=make), generators={"painter": fails})
    text = f'method = "text"\ngenerator = "{base / "tiny"}"\nprompt = "x"\nwidth = 16\nheight = 16'
    (tmp_path / "plan.toml").write_text(f"[[make]]\n{text}\n")
    told = ["synth", "augment", str(tmp_path / "plan.toml"), "--lake", request.lake]
    with pytest.raises(SystemExit) as ended:
        main([*told, "--detector", "mini", "--backend", "torch"])
    assert ended.value.code == 5
    assert "none of 1 image could be generated: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("profile", "is_compared"), [("authors-imagenet", False), ("hf-clip", True)]
)
def test_a_child_is_compared_with_its_parent_only_where_both_were_seen_upright(
    tmp_path, profile, is_compared
):
    """A phone's photo held sideways, under a profile that turns pictures and one that does not."""
    (tmp_path / "pictures").mkdir()
    photo = factories.photo(seed=3, size=(160, 120))
    raw = factories.with_exif(orientation=6, image=photo)
    (tmp_path / "pictures" / "a.jpg").write_bytes(raw)
    told = MINI_ON_TORCH | {"profile": profile, "lake": str(tmp_path / "lake")}
    run(Request(sources=(str(tmp_path / "pictures"),), **told))
    make = [{"method": "launder", "condition": "jpeg-90"}]
    plan = plan_of_dict({"parents": {"choose": "any"}, "make": make}, folder=tmp_path)
    result = augment(Request(**told), plan)
    assert (result.table["logit_change"][0] is not None) == is_compared
    (row,) = rows_of(Request(**told)).iter_rows(named=True)
    with Image.open(io.BytesIO(Lake(told["lake"]).image(row["image_id"]))) as child:
        assert child.size == (120, 160)


def test_the_flow_takes_a_generator_in_the_place_of_the_plans(tmp_path):
    """As the command does; a plan that paints with none says so before anything runs."""
    plan = {"make": [{"method": "launder", "condition": "jpeg-50"}]}
    with pytest.raises(ConfigError, match="no block of the plan uses a generator"):
        augment_flow.fn(plan, generator="mini-sd3", lake=str(tmp_path / "lake"))


def test_a_generators_folder_is_named_from_the_working_folder(tmp_path, monkeypatch):
    """Names stay names, unless they are a folder's and no generator's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mini-sd3").mkdir()
    monkeypatch.chdir(tmp_path)
    assert named_from_here("mine") == str(tmp_path / "mine")
    assert named_from_here("mini-sd3") == "mini-sd3"
    assert named_from_here("org/name") == "org/name"
