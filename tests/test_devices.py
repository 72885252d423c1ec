"""Devices are chosen by what is there; nothing is used in place of what was asked for."""

import numpy as np
import pytest
import torch
from tiny_models import timm_tensors, write_timm

from assay.data.errors import ConfigError
from assay.tasks.detector.devices import (
    available_devices,
    backend_of,
    batch_images,
    choose_device,
    choose_precision,
)
from assay.tasks.detector.load import load_detector

CPU = torch.device("cpu")
MISSING = [kind for kind in ("cuda", "mps", "xpu", "tpu") if kind not in available_devices()]


def test_a_cpu_is_always_there_and_last():
    """The fastest comes first; the CPU is what is left."""
    assert available_devices()[-1] == "cpu"
    assert choose_device("cpu") == CPU


def test_auto_takes_the_first():
    """Without an accelerator that is the CPU."""
    chosen = choose_device("auto")
    assert backend_of(chosen) == f"torch-{available_devices()[0]}"


@pytest.mark.parametrize("kind", MISSING)
def test_a_device_that_is_not_there(kind):
    """Refused with what there is, and never replaced in silence."""
    with pytest.raises(ConfigError, match=f"'{kind}' is not there; this machine has: .*cpu"):
        choose_device(kind)


@pytest.mark.parametrize("name", ["gpu", "cpu:x", "cuda:-1", "", "cpu:1"])
def test_names_that_are_no_devices(name):
    """Unknown names, and numbers beyond what there is."""
    with pytest.raises(ConfigError, match="device"):
        choose_device(name)


def test_precision_is_exact_unless_asked():
    """Half formats move logits by more than the same picture may differ."""
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("auto", torch.device("cuda")) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"
    assert choose_precision("fp16", torch.device("cuda")) == "fp16"
    with pytest.raises(ConfigError, match="fp32 or bf16"):
        choose_precision("fp16", CPU)


def test_backends_and_batches():
    """What is recorded, and how much goes through at once to begin with."""
    assert backend_of(torch.device("xla")) == "torch-tpu"
    assert backend_of(torch.device("cuda", 1)) == "torch-cuda"
    assert batch_images(CPU) < batch_images(torch.device("cuda"))


def test_bf16_is_used_where_it_is_asked_for(tmp_path):
    """Its logits are near those of fp32 and not the same; both are float32 on the way out."""
    folder = str(write_timm(tmp_path, timm_tensors()))
    pixels = torch.randn(8, 3, 64, 64)
    exact, _ = load_detector(folder).forward(pixels)
    half, embeddings = load_detector(folder, precision="bf16").forward(pixels)
    assert half.dtype == embeddings.dtype == np.float32
    assert 1e-3 < np.abs(exact - half).max() < 0.1 * np.ptp(exact) + 0.5
