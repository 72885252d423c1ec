"""This machine: number of cores available to the process, and names of compute devices.

Nothing here imports PyTorch: the caller states which devices are available.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .errors import ConfigError
from .text.wording import did_you_mean, shown

# Fastest first: the order of preference of `auto`.
DEVICE_KINDS: Final = ("cuda", "mps", "xpu", "tpu", "cpu")

_NAME: Final = re.compile(r"([a-z]+)(?::([0-9]{1,4}))?", re.ASCII)
# PyTorch's name of the kind.
_ALIASES: Final = {"xla": "tpu"}


def n_cores() -> int:
    """Return the number of cores available to this process; OMP_NUM_THREADS overrides it."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_device(name: str, *, kinds: Sequence[str] = DEVICE_KINDS) -> tuple[str, int | None]:
    """Return kind and number of a device's name: `cuda:1` gives ("cuda", 1).

    Args:
        name: `auto`, a kind, or a kind and a number.
        kinds: Allowed kinds.

    Returns:
        Kind, "auto" for `auto`, and number, None if the name has none.

    Raises:
        ConfigError: The name is not a device's name, or its kind is not allowed.
    """
    if name == "auto":
        return "auto", None
    match = _NAME.fullmatch(name)
    kind = _ALIASES.get(match[1], match[1]) if match else ""
    if match is None or kind not in kinds:
        raise ConfigError(
            f"device {shown(name)} is unknown; allowed: auto, {', '.join(kinds)}, or a kind and a"
            f" number such as cuda:1{did_you_mean(name, kinds)}"
        )
    return kind, None if match[2] is None else int(match[2])


def require_device(
    name: str, counts: Mapping[str, int], *, kinds: Sequence[str] = DEVICE_KINDS
) -> tuple[str, int | None]:
    """Return kind and number of a device that this machine has.

    Args:
        name: Name of a device, see `parse_device`; `auto` is the first available kind.
        counts: Number of devices per kind, in order of preference.
        kinds: Allowed kinds.

    Raises:
        ConfigError: The name is invalid, or this machine has no such device.
    """
    kind, number = parse_device(name, kinds=kinds)
    available = [known for known, n in counts.items() if n]
    if kind == "auto":
        return available[0], None
    if kind not in available:
        raise ConfigError(
            f"device {name!r} is not available; this machine has: {', '.join(available)}"
        )
    if number is not None and number >= counts[kind]:
        raise ConfigError(
            f"device {name!r} is not available; this machine has {counts[kind]} of {kind}"
        )
    return kind, number
