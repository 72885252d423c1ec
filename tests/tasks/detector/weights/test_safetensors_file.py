"""Weights that fail a check are refused with the reason."""

import json
import pickle
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import save
from tiny_models import TINY, Shape, hf_config, hf_tensors, timm_tensors, write_hf, write_timm

from assay.data.errors import ModelError, UntrustedWeights
from assay.tasks.detector.load import load_detector
from assay.tasks.detector.weights.checkpoint import find_checkpoint
from assay.tasks.detector.weights.registry import MINI_FOLDER
from assay.tasks.detector.weights.safetensors_file import read_header, read_weights

TENSORS = timm_tensors()


def test_header_of_a_good_file():
    """The header has names, types and shapes as safetensors wrote them."""
    header = read_header(save({"a": torch.zeros(2, 3), "b": torch.zeros(())}), "x")
    assert {k: (v.dtype, v.shape) for k, v in header.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("F32", ()),
    }


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "no safetensors file"),
        (b"\x10", "no safetensors file"),
        (b"<!DOCTYPE html><html>", "no safetensors file"),
        (struct.pack("<Q", 4) + b"null", "no safetensors file"),
        (struct.pack("<Q", 900) + b'{"a": {"dtype"', "cut short"),
        (save({"a": torch.zeros(100)})[:-1], "cut short"),
        (save({"a": torch.zeros(100)}) + b"\0", "longer than its header says"),
        (save({"a": torch.zeros(4, dtype=torch.int64)}), "type I64"),
        (pickle.dumps({"a": 1}), "is a pickle"),
        (pickle.dumps({"a": 1}, protocol=2), "is a pickle"),
        (b"PK\x03\x04" + b"\0" * 60, "is a pickle"),
    ],
)
def test_files_that_are_no_whole_safetensors(raw, said):
    """Truncated, padded, foreign and pickled files are refused."""
    with pytest.raises(UntrustedWeights, match=said):
        read_header(raw, "model.safetensors")


def test_header_whose_sizes_lie():
    """A shape that does not fit its bytes is refused."""
    entry = {"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 16]}}
    text = json.dumps(entry).encode()
    with pytest.raises(UntrustedWeights, match="tensor a"):
        read_header(struct.pack("<Q", len(text)) + text + b"\0" * 16, "x")


def test_missing_file_is_no_bug(tmp_path):
    """A missing file is a model error with its path."""
    with pytest.raises(ModelError, match=r"nothing\.safetensors"):
        read_weights(tmp_path / "nothing.safetensors")


def test_a_pickle_under_a_safe_name_is_never_opened(tmp_path):
    """A torch.save file under the name model.safetensors is refused by its first bytes."""
    torch.save({"w": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UntrustedWeights, match="never opened"):
        load_detector(str(tmp_path), positive="fake")


def test_a_folder_of_pickles_says_so(tmp_path):
    """A folder with pytorch_model.bin only is refused for its format."""
    torch.save({"w": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UntrustedWeights, match=r"pytorch_model\.bin.*never opened"):
        load_detector(str(tmp_path))


def test_one_changed_byte_of_embedded_weights(tmp_path, monkeypatch):
    """The registered hash is checked even if everything else fits."""
    for name in ("config.json", "detector.toml", "model.safetensors"):
        (tmp_path / name).write_bytes((MINI_FOLDER / name).read_bytes())
    raw = bytearray((tmp_path / "model.safetensors").read_bytes())
    raw[-5] ^= 1
    (tmp_path / "model.safetensors").write_bytes(raw)
    monkeypatch.setattr("assay.tasks.detector.weights.locate.MINI_FOLDER", tmp_path)
    with pytest.raises(UntrustedWeights, match="pinned is"):
        load_detector("mini")
    # The same folder by path is refused by the hash that its own detector.toml promises.
    with pytest.raises(UntrustedWeights, match=r"detector\.toml beside it"):
        load_detector(str(tmp_path))


def test_embedded_weights_under_another_epsilon(tmp_path):
    """The right weights with another config are not that detector."""
    for name in ("detector.toml", "model.safetensors"):
        (tmp_path / name).write_bytes((MINI_FOLDER / name).read_bytes())
    config = json.loads((MINI_FOLDER / "config.json").read_text()) | {"layer_norm_eps": 1e-4}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UntrustedWeights, match=r"layer_norm_eps is 0\.0001"):
        find_checkpoint(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_attention_heads": 12}, "12 heads for a width of 192; expected 3"),
        ({"num_attention_heads": None}, "lacks num_attention_heads"),
        ({"num_attention_heads": "3"}, "no number as num_attention_heads"),
        ({"layer_norm_eps": None}, "lacks layer_norm_eps"),
        ({"layer_norm_eps": 0.5}, "layer_norm_eps 0.5"),
        ({"hidden_size": 384}, "hidden_size = 384, the weights have 192"),
        ({"hidden_size": None}, "hidden_size = None"),
        ({"num_hidden_layers": 12}, "num_hidden_layers = 12"),
        ({"image_size": 224}, "image_size = 224, the weights have 64"),
        ({"patch_size": None}, "patch_size = None"),
        ({"hidden_act": "gelu_new"}, "hidden_act = 'gelu_new'"),
        ({"model_type": "deit"}, "model_type = 'deit'"),
        ({"num_labels": 2}, "num_labels = 2"),
        ({"id2label": {"0": "real", "1": "fake"}}, "2 labels"),
        ({"qkv_bias": False}, "qkv_bias = False"),
    ],
)
def test_configs_that_would_score_wrongly(tmp_path, changes, said):
    """Missing keys that a library would fill with defaults are refused."""
    write_hf(tmp_path, TENSORS, hf_config(TINY, **changes))
    with pytest.raises(UntrustedWeights, match=said):
        find_checkpoint(str(tmp_path))


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: tensor for key, tensor in TENSORS.items() if key != name}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (timm_tensors(n_logits=2), "2 logits"),
        (without("vit.norm.bias"), r"1 missing \(first: norm.bias\)"),
        (without("vit.blocks.1.attn.qkv.bias"), "1 missing"),
        (without("vit.head.weight"), "no ViT classifier"),
        (TENSORS | {"vit.pooler.dense.weight": torch.zeros(2, 2)}, "'vit.pooler.dense.weight'"),
        (TENSORS | {"vit.blocks.7.norm1.bias": torch.zeros(192)}, "missing"),
        (TENSORS | {"vit.norm.bias": torch.zeros(7)}, r"1 misshapen \(first: norm.bias\)"),
        (TENSORS | {"vit.pos_embed": torch.zeros(1, 16, 192)}, "misshapen"),
        (TENSORS | {"cls_token": torch.zeros(1, 1, 192)}, "twice"),
        ({"lora.weight": torch.zeros(2, 2)}, "lora"),
        (TENSORS | {"vit.head.weight": torch.zeros(1, 0)}, "without elements"),
    ],
)
def test_tensors_that_are_no_such_network(tmp_path, tensors, said):
    """Missing, extra and misshapen tensors are refused in either layout."""
    write_timm(tmp_path, tensors)
    with pytest.raises(UntrustedWeights, match=said):
        find_checkpoint(str(tmp_path))


def test_the_same_checks_hold_for_the_other_layout(tmp_path):
    """A transformers checkpoint with a missing layer or an extra tensor is refused."""
    tensors = hf_tensors(TENSORS)
    cut = {k: v for k, v in tensors.items() if k != "vit.encoder.layer.0.intermediate.dense.bias"}
    (tmp_path / "config.json").write_text(json.dumps(hf_config()))
    write_timm(tmp_path, cut)
    with pytest.raises(UntrustedWeights, match=r"0\.fc1\.bias"):
        find_checkpoint(str(tmp_path))


def test_weights_that_are_not_numbers(tmp_path):
    """A NaN weight, which gives NaN scores for every image, is refused at load."""
    bad = TENSORS["vit.norm.weight"].clone()
    bad[3] = np.nan
    write_timm(tmp_path, TENSORS | {"vit.norm.weight": bad})
    with pytest.raises(UntrustedWeights, match="NaN"):
        load_detector(str(tmp_path))


def test_widths_without_a_published_head_count_need_it_stated(tmp_path):
    """A folder with width 128 must state its number of heads."""
    write_timm(tmp_path, timm_tensors(Shape(width=128, heads=2)))
    with pytest.raises(UntrustedWeights, match="heads = N"):
        find_checkpoint(str(tmp_path))
    (tmp_path / "detector.toml").write_text('positive = "fake"\nheads = 4\n')
    assert find_checkpoint(str(tmp_path)).architecture.heads == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("heads = 0", "heads = 0"),
        ('profile = "mine"', "profile = 'mine'"),
        ("positive = ", "cannot be read"),
    ],
)
def test_settings_beside_the_weights_are_checked(tmp_path, text, said):
    """An invalid `detector.toml` is refused."""
    write_timm(tmp_path, TENSORS, positive=None)
    (tmp_path / "detector.toml").write_text(text)
    with pytest.raises(ModelError, match=said):
        find_checkpoint(str(tmp_path), positive="fake")
