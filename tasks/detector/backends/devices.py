"""Where the network runs and in which number format: chosen by itself, or as asked.

`auto` precision is fp32 on every device: half formats move a logit by more than the 1e-3
within which the same picture must always score the same. They are there on request, and
every score says which it was made with.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ....data.errors import ConfigError
from ....data.machine import DEVICE_KINDS, require_device

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("fp32", "bf16", "fp16", "int8")
AUTO_PRECISION: Final = "fp32"

# NVIDIA, NVIDIA under Windows, AMD, Intel and others.
_ACCELERATOR_FILES: Final = ("nvidiactl", "dxg", "kfd", "dri", "accel")

# Images in one forward pass. On CPU more gains nothing and makes streams end unevenly; on
# accelerators it is where throughput levels off for a ViT-S.
_BATCH: Final = {"cpu": 2, "mps": 16}
_BATCH_ELSEWHERE: Final = 64


def available_devices() -> tuple[str, ...]:
    """The kinds of device that this machine offers to PyTorch, fastest first."""
    return tuple(kind for kind, n in _device_counts().items() if n)


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name: `auto`, a kind, or a kind and number such as `cuda:1`.

    Raises:
        ConfigError: It is not there, or is no device's name.
    """
    import torch

    kind, number = require_device(name, _device_counts())
    if kind == "tpu":
        return _tpu()
    return torch.device(kind) if number is None else torch.device(kind, number)


def device_kind(name: str = "auto") -> str:
    """The kind of device that a name stands for: `cpu` without asking PyTorch, where it is plain.

    Raises:
        ConfigError: As for `choose_device`.
    """
    if name == "cpu" or (name == "auto" and not _may_have_accelerator()):
        return "cpu"
    kind = choose_device(name).type
    return "tpu" if kind == "xla" else kind


def choose_precision(name: str, kind: str) -> str:
    """`fp32`, `bf16`, `fp16` or `int8`; `auto` is fp32.

    Args:
        name: As asked for.
        kind: Of the device, as `device_kind` gives it.

    Raises:
        ConfigError: Unknown, or not to be had on this device.
    """
    if name not in {"auto", *PRECISIONS}:
        raise ConfigError(
            f"precision {name!r} is unknown; choose auto or one of {', '.join(PRECISIONS)}"
        )
    if name == "auto":
        return AUTO_PRECISION
    refused = {
        "cpu": {"fp16": "slower than fp32 on a CPU"},
        "tpu": {"fp16": "not supported on a TPU", "int8": "for CPUs"},
    }.get(kind, {"int8": "for CPUs"})
    if name in refused:
        raise ConfigError(f"precision {name} is {refused[name]}; choose fp32 or bf16")
    if name == "bf16" and kind == "cuda":
        import torch

        if not torch.cuda.is_bf16_supported():
            raise ConfigError("this GPU has no bf16; choose fp32 or fp16")
    return name


def batch_images(device: torch.device) -> int:
    """How many images go through the network at once, to begin with."""
    return _BATCH.get(device.type, _BATCH_ELSEWHERE)


def _device_counts() -> dict[str, int]:
    """How many devices of each kind this machine offers to PyTorch, fastest kind first."""
    import torch

    found = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
        "tpu": int(_has_tpu()),
        "cpu": 1,
    }
    return {kind: found[kind] for kind in DEVICE_KINDS}


def _may_have_accelerator() -> bool:
    """Whether anything hints at one; importing PyTorch to be told of none takes a second."""
    if sys.platform != "linux" or importlib.util.find_spec("torch_xla") is not None:
        return True
    return any(Path("/dev", name).exists() for name in _ACCELERATOR_FILES)


def _has_tpu() -> bool:
    # accelerate knows the ways in which torch_xla may be there without a TPU.
    if importlib.util.find_spec("torch_xla") is None:
        return False
    from accelerate.utils import is_torch_xla_available

    return bool(is_torch_xla_available(check_is_tpu=True))


def _tpu() -> torch.device:
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device
