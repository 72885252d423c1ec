"""The label in a checkpoint's `config.json`, which other programs show and no score depends on."""

import json
import shutil

import numpy as np
import pytest
import torch
from factories import photo
from scipy.special import expit
from tiny_models import timm_tensors, write_hf

from assay.tasks.detector.inputs.preprocess import normalise
from assay.tasks.detector.load import identify, load_detector
from assay.tasks.detector.tools.convert import convert
from assay.tasks.detector.weights.checkpoint import find_checkpoint
from assay.tasks.detector.weights.registry import MINI_FOLDER


def test_a_pipeline_of_transformers_names_the_class_of_the_embedded_detector():
    """The one label is AI-generated, with the probability that this package computes."""
    from transformers import ViTImageProcessor, pipeline

    detector = load_detector("mini", backend="torch", device="cpu")
    profile = detector.profile
    image = photo(size=(384, 384))
    classify = pipeline(
        "image-classification",
        model=str(MINI_FOLDER),
        image_processor=ViTImageProcessor(
            do_resize=False, image_mean=profile.mean, image_std=profile.std
        ),
        device=torch.device("cpu"),
    )
    (answer,) = classify(image)
    logits, _ = detector.forward(normalise(np.asarray(image), profile)[None])
    assert answer["label"] == "AI-generated"
    assert answer["score"] == pytest.approx(expit(logits[0]), abs=1e-5)


def test_the_label_is_no_part_of_a_detectors_identity(tmp_path):
    """A copy of the embedded detector with the library's default label has the same score key."""
    folder = tmp_path / "copy"
    shutil.copytree(MINI_FOLDER, folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    (folder / "config.json").write_text(json.dumps(config))
    assert identify(str(folder)).key == identify("mini").key
    assert identify("mini").detector_id == "mini@e4cd87900624"


@pytest.mark.parametrize(("positive", "label"), [("fake", "AI-generated"), ("real", "real")])
def test_a_converted_checkpoint_names_the_class_of_a_larger_logit(tmp_path, positive, label):
    """The label follows the direction in `detector.toml`, and the folder loads again."""
    source = write_hf(tmp_path / "source", timm_tensors(), positive=positive)
    folder = convert(find_checkpoint(str(source)), "transformers", tmp_path / "converted")
    config = json.loads((folder / "config.json").read_text())
    assert (config["id2label"], config["label2id"]) == ({"0": label}, {label: 0})
    assert find_checkpoint(str(folder)).positive == positive
