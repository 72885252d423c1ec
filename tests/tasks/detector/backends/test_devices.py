"""Choice of devices: by availability, and never another one than requested."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_models import timm_tensors, write_timm

from assay.data.errors import ConfigError
from assay.tasks.detector.backends import devices
from assay.tasks.detector.backends.devices import (
    available_devices,
    batch_images,
    choose_devices,
    choose_precision,
)
from assay.tasks.detector.load import load_detector

CPU = torch.device("cpu")
MISSING = [kind for kind in ("cuda", "mps", "xpu", "tpu") if kind not in available_devices()]


def test_a_cpu_is_always_there_and_last():
    """The fastest device comes first and the CPU last."""
    assert available_devices()[-1] == "cpu"
    assert choose_devices("cpu") == (CPU,)


def test_auto_takes_the_first():
    """Without an accelerator, `auto` is the CPU."""
    chosen = choose_devices("auto")[0]
    assert chosen.type.replace("xla", "tpu") == available_devices()[0]


@pytest.mark.parametrize("kind", MISSING)
def test_a_device_that_is_not_there(kind):
    """An absent device is refused with the available ones and not replaced."""
    with pytest.raises(ConfigError, match=f"'{kind}' is not available; this machine has: .*cpu"):
        choose_devices(kind)


@pytest.mark.parametrize("name", ["gpu", "cpu:x", "cuda:-1", "", "cpu:1"])
def test_names_that_are_no_devices(name):
    """Unknown names, and numbers beyond the available devices, are refused."""
    with pytest.raises(ConfigError, match="device"):
        choose_devices(name)


def test_precision_is_exact_unless_asked():
    """Half formats are opt-in, since they move logits by more than the tolerance."""
    assert choose_precision("auto", "cpu") == "fp32"
    assert choose_precision("auto", "cuda") == "fp32"
    assert choose_precision("bf16", "cpu") == "bf16"
    assert choose_precision("fp16", "cuda") == "fp16"
    with pytest.raises(ConfigError, match="fp32 or bf16"):
        choose_precision("fp16", "cpu")


def test_batches():
    """The first batch on an accelerator is larger than on a CPU."""
    assert batch_images(CPU) < batch_images(torch.device("cuda"))


def test_a_machine_without_accelerators_is_told_without_pytorch():
    """Finding no accelerator does not import PyTorch, which is slow."""
    if devices._may_have_accelerator():
        pytest.skip("this machine has an accelerator")
    code = (
        "import sys; from assay.tasks.detector.backends.devices import device_kind as k; print(k())"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"{code}; print('torch' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["cpu", "False"]


@pytest.mark.parametrize("backend", ["torch", "openvino"])
def test_bf16_is_used_where_it_is_asked_for(tmp_path, backend):
    """Logits in bf16 are near those of fp32 but not equal, and returned as float32."""
    folder = str(write_timm(tmp_path, timm_tensors()))
    pixels = np.random.default_rng(0).standard_normal((8, 3, 64, 64), dtype=np.float32)
    exact, _ = load_detector(folder, backend=backend).forward(pixels)
    asked = {"precision": "bf16", "backend": backend, "force_drift": True}
    half, embeddings = load_detector(folder, **asked).forward(pixels)
    assert half.dtype == embeddings.dtype == np.float32
    if backend == "openvino" and not _has_bf16():
        pytest.skip("this processor has no bf16, which OpenVINO needs to use it")
    assert 1e-3 < np.abs(exact - half).max() < 0.1 * np.ptp(exact) + 0.5


def _has_bf16() -> bool:
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "avx512_bf16" in cpuinfo.read_text()


def test_gpus_are_described_by_number_model_and_memory(monkeypatch):
    """Simulated: two equal GPUs; without one, the kind says all."""
    monkeypatch.setattr(devices, "device_kind", lambda name: "cuda")
    gpus = (torch.device("cuda", 0), torch.device("cuda", 1))
    monkeypatch.setattr(devices, "choose_devices", lambda name: gpus)
    about = SimpleNamespace(name="NVIDIA L4", total_memory=24_000_000_000)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)
    assert devices.describe_devices() == "cuda: 2 x NVIDIA L4, 24 GB"
    monkeypatch.setattr(devices, "device_kind", lambda name: "cpu")
    assert devices.describe_devices() == "cpu"
