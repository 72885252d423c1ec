"""Where the network runs and in which number format: chosen by itself, or as asked.

`auto` precision is fp32 on every device: half formats move a logit by more than the 1e-3
within which the same picture must always score the same. They are there on request, and
every score says which it was made with.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from ...data.errors import ConfigError

if TYPE_CHECKING:
    import torch

PRECISIONS: Final = ("fp32", "bf16", "fp16")
AUTO_PRECISION: Final = "fp32"
KINDS: Final = ("cuda", "mps", "xpu", "tpu", "cpu")

# Images in one forward pass. On CPU more gains nothing and makes streams end unevenly; on
# accelerators it is where throughput levels off for a ViT-S.
_BATCH: Final = {"cpu": 2, "mps": 16}
_BATCH_ELSEWHERE: Final = 64


def available_devices() -> tuple[str, ...]:
    """The kinds of device that this machine offers to PyTorch, fastest first."""
    import torch

    found = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "xpu": torch.xpu.is_available(),
        "tpu": _has_tpu(),
        "cpu": True,
    }
    return tuple(kind for kind in KINDS if found[kind])


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name: `auto`, a kind, or a kind and number such as `cuda:1`.

    Raises:
        ConfigError: It is not there, or is no device's name.
    """
    import torch

    available = available_devices()
    kind, colon, number = name.partition(":")
    kind = available[0] if name == "auto" else "tpu" if kind == "xla" else kind
    if kind not in KINDS or (colon and not number.isdecimal()):
        raise ConfigError(f"device {name!r} is unknown; choose auto or one of {', '.join(KINDS)}")
    if kind not in available:
        raise ConfigError(f"device {name!r} is not there; this machine has: {', '.join(available)}")
    if kind == "tpu":
        return _tpu()
    if not colon:
        return torch.device(kind)
    n_devices = {"cuda": torch.cuda.device_count, "xpu": torch.xpu.device_count}
    count = n_devices[kind]() if kind in n_devices else 1
    if int(number) >= count:
        raise ConfigError(f"device {name!r} is not there; this machine has {count} of {kind}")
    return torch.device(kind, int(number))


def choose_precision(name: str, device: torch.device) -> str:
    """`fp32`, `bf16` or `fp16`; `auto` is fp32.

    Raises:
        ConfigError: Unknown, or not to be had on this device.
    """
    import torch

    if name not in {"auto", *PRECISIONS}:
        raise ConfigError(
            f"precision {name!r} is unknown; choose auto or one of {', '.join(PRECISIONS)}"
        )
    if name == "auto":
        return AUTO_PRECISION
    refused = {
        "cpu": {"fp16": "slower than fp32 on a CPU"},
        "mps": {},
        "xla": {"fp16": "not supported on a TPU"},
    }.get(device.type, {})
    if name in refused:
        raise ConfigError(f"precision {name} is {refused[name]}; choose fp32 or bf16")
    if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise ConfigError("this GPU has no bf16; choose fp32 or fp16")
    return name


def backend_of(device: torch.device) -> str:
    """What `scores.backend` holds: `torch-cpu`, `torch-cuda`, `torch-tpu` and so on."""
    return f"torch-{'tpu' if device.type == 'xla' else device.type}"


def batch_images(device: torch.device) -> int:
    """How many images go through the network at once, to begin with."""
    return _BATCH.get(device.type, _BATCH_ELSEWHERE)


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
