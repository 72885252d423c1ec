"""Choice of the devices and the number format of the network, automatic or as requested.

`auto` precision is fp32 on every device: half formats change a logit by more than 1e-3, the
tolerance within which an image always scores the same. They are used on request only, and every
score names its precision.
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

# Files under /dev of NVIDIA, of WSL (dxg), of AMD, of Intel and of other accelerators.
_ACCELERATOR_FILES: Final = ("nvidiactl", "dxg", "kfd", "dri", "accel")

# Kinds whose devices PyTorch describes by name and memory.
_WITH_MEMORY: Final = ("cuda", "xpu")

# Images per forward pass. On a CPU larger batches gain nothing and let streams end unevenly; on
# accelerators the throughput of a ViT-S levels off here.
_BATCH: Final = {"cpu": 2, "mps": 16}
_BATCH_ELSEWHERE: Final = 64


def available_devices() -> tuple[str, ...]:
    """Return the kinds of device that PyTorch finds on this machine, fastest first."""
    return tuple(kind for kind, n in _device_counts().items() if n)


def choose_devices(name: str = "auto") -> tuple[torch.device, ...]:
    """Return the devices that a name stands for, at least one.

    A kind and a number, such as `cuda:1`, is one device. A kind is every device of the kind, and
    `auto` every device of the fastest kind; of different models only that of the first counts,
    since results in order would wait for the slowest.

    Raises:
        ConfigError: The name is not a device's, or this machine has no such device.
    """
    import torch

    counts = _device_counts()
    kind, number = require_device(name, counts)
    if kind == "tpu":
        return (_tpu(),)
    if number is not None:
        return (torch.device(kind, number),)
    if counts[kind] == 1:
        return (torch.device(kind),)
    models = [_model_of(kind, index) for index in range(counts[kind])]
    return tuple(
        torch.device(kind, index) for index, model in enumerate(models) if model == models[0]
    )


def device_kind(name: str = "auto") -> str:
    """Return the kind of device that a name stands for.

    PyTorch is not imported where the answer is `cpu` without it.

    Raises:
        ConfigError: The name is not a device's, or this machine has no such device.
    """
    if name == "cpu" or (name == "auto" and not _may_have_accelerator()):
        return "cpu"
    kind = choose_devices(name)[0].type
    return "tpu" if kind == "xla" else kind


def describe_devices() -> str:
    """Return the devices that `auto` stands for, with their number, model and memory."""
    kind = device_kind("auto")
    if kind not in _WITH_MEMORY:
        return kind
    import torch

    devices = choose_devices("auto")
    about = getattr(torch, kind).get_device_properties(devices[0].index or 0)
    return f"{kind}: {len(devices)} x {about.name}, {about.total_memory / 1e9:.0f} GB"


def choose_precision(name: str, kind: str) -> str:
    """Return the precision to use: `fp32`, `bf16`, `fp16` or `int8`; `auto` is fp32.

    Args:
        name: Requested precision, or `auto`.
        kind: Kind of device, from `device_kind`.

    Raises:
        ConfigError: The precision is unknown, or the device does not support it.
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
            raise ConfigError("this GPU does not support bf16; choose fp32 or fp16")
    return name


def batch_images(device: torch.device) -> int:
    """Return the initial batch size in images; it is halved when memory runs out."""
    return _BATCH.get(device.type, _BATCH_ELSEWHERE)


def _device_counts() -> dict[str, int]:
    """Return the number of devices of each kind that PyTorch finds, fastest kind first."""
    import torch

    counts = {
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
        "xpu": torch.xpu.device_count() if torch.xpu.is_available() else 0,
        "tpu": int(_has_tpu()),
        "cpu": 1,
    }
    return {kind: counts[kind] for kind in DEVICE_KINDS}


def _model_of(kind: str, index: int) -> str:
    """Return the name of a device's model, such as `NVIDIA H100 80GB HBM3`."""
    import torch

    return str(getattr(torch, kind).get_device_name(index))


def _may_have_accelerator() -> bool:
    """Return whether this machine may have an accelerator; spares PyTorch's import of 1 s."""
    if sys.platform != "linux" or importlib.util.find_spec("torch_xla") is not None:
        return True
    return any(Path("/dev", name).exists() for name in _ACCELERATOR_FILES)


def _has_tpu() -> bool:
    # torch_xla may be installed on a machine without a TPU; accelerate tells the two apart.
    if importlib.util.find_spec("torch_xla") is None:
        return False
    from accelerate.utils import is_torch_xla_available

    return bool(is_torch_xla_available(check_is_tpu=True))


def _tpu() -> torch.device:
    from accelerate import PartialState

    device: torch.device = PartialState().device
    return device
