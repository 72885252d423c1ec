"""Images have a CLIP score if the plan names a CLIP checkpoint."""

import json
import shutil
from pathlib import Path

import factories
import numpy as np
import pytest
import tiny_sd3
import torch
from tiny_models import MINI_ON_TORCH
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from assay.data.errors import SynthError
from assay.data.store.lake import Lake
from assay.flows.augmentation.run import augment
from assay.flows.request import Request
from assay.synth.checks.adherence import load_clip
from assay.synth.generators.protocol import CallableGenerator
from assay.synth.mini_training.model import make_tokenizer
from assay.synth.plan.plan_file import plan_of_dict

WIDE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Save a tiny CLIP with random weights, its tokenizer and its image processor."""
    folder = tmp_path_factory.mktemp("clip") / "tiny-clip"
    tokenizer = make_tokenizer(tiny_sd3.TEXTS, tiny_sd3.SHAPE)
    torch.manual_seed(0)
    text = WIDE | {
        "vocab_size": len(tokenizer),
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = CLIPConfig(
        text_config=text,
        vision_config=WIDE | {"image_size": 32, "patch_size": 8},
        projection_dim=12,
    )
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    return folder


def test_the_cosine_is_that_of_the_model_itself(clip):
    """It equals the logits of transformers divided by their scale, for several prompts."""
    scorer = load_clip(str(clip))
    model = CLIPModel.from_pretrained(clip).eval()
    picture = factories.photo(seed=3, size=(50, 40))
    found = []
    for prompt in ("a dark blue sky", "a sign", "a sign " * 60):
        words = scorer.tokenizer(prompt, truncation=True, return_tensors="pt")
        pixels = CLIPImageProcessor.from_pretrained(clip)(picture, return_tensors="pt")
        with torch.no_grad():
            scaled = model(**words, **pixels).logits_per_image[0, 0] / model.logit_scale.exp()
        found.append(scorer.cosine(np.asarray(picture), prompt))
        assert found[-1] == pytest.approx(float(scaled), abs=1e-6)
    assert len({round(value, 6) for value in found}) == 3
    assert scorer.clip_id.startswith("tiny-clip@")


def test_what_is_no_clip_is_refused(clip, tmp_path):
    """A folder without weights and one of another model are refused."""
    with pytest.raises(SynthError, match="is not a CLIP checkpoint"):
        load_clip(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(SynthError, match="cannot be loaded as CLIP"):
        load_clip(str(tmp_path))


def test_a_plan_with_clip_records_it_and_makes_the_same_pictures(clip, tmp_path):
    """The score is in the row, and keys and seeds are those of the plan without it."""
    make = {"method": "text", "generator": "mine", "prompt": ["a sign", "a field"]}
    with_clip, without = (
        plan_of_dict({"make": [make | more]}, folder=tmp_path) for more in ({"clip": str(clip)}, {})
    )
    keys = [
        [(job.key, job.seed) for job in plan.jobs(plan.blocks[0], [])]
        for plan in (with_clip, without)
    ]
    assert keys[0] == keys[1]
    picture = np.asarray(factories.photo(seed=1, size=(64, 64)))
    request = Request(lake=str(tmp_path / "lake"), **MINI_ON_TORCH)
    generator = CallableGenerator(generator_id="mine", function=lambda ask: picture)
    result = augment(request, with_clip, generators={"mine": generator})
    rows = Lake(request.lake, create=False).scan("synthetics").collect()
    scorer = load_clip(str(clip))
    told = {row["prompt"]: json.loads(row["params"]) for row in rows.iter_rows(named=True)}
    assert set(told) == {"a sign", "a field"}
    for prompt, params in told.items():
        assert params["clip"] == scorer.clip_id
        assert params["clip_cosine"] == pytest.approx(scorer.cosine(picture, prompt), abs=1e-4)
    mean = sum(params["clip_cosine"] for params in told.values()) / 2
    assert result.table["clip_cosine"].to_list() == [pytest.approx(mean)]
    page = Path(result.evasion_report).read_text()
    assert ">CLIP cosine</th></tr>" in page
    assert f'data-name="CLIP cosine">{mean:.3f}</td>' in page
    # Two blocks of the same pictures, one measured by another model: measured once more, and kept.
    other = Path(shutil.copytree(clip, tmp_path / "other-clip"))
    blocks = [make | {"name": name, "clip": str(of)} for name, of in (("a", clip), ("b", other))]
    both = plan_of_dict({"make": [*blocks, make | {"name": "c"}]}, folder=tmp_path)
    for counts in ((2, 4, 0), (0, 6, 0)):
        again = augment(request, both, generators={"mine": generator})
        assert (again.made, again.known, again.equal) == counts
    assert set(again.table["clip_cosine"].round(6)) == {round(mean, 6)}
    assert len(Lake(request.lake).scan("images").collect()) == 2
