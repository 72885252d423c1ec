"""This machine: how many cores a process may use, and the names of devices that compute.

Whether a device is there is for those to say who ask PyTorch; nothing here imports it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Final

from .errors import ConfigError
from .text.wording import did_you_mean, shown

# Fastest first, the order in which `auto` takes them.
DEVICE_KINDS: Final = ("cuda", "mps", "xpu", "tpu", "cpu")

_NAME: Final = re.compile(r"([a-z]+)(?::([0-9]{1,4}))?", re.ASCII)
# As PyTorch calls it.
_ALIASES: Final = {"xla": "tpu"}


def n_cores() -> int:
    """Return how many cores this process may use; OMP_NUM_THREADS, where set, counts instead."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    if stated.isdecimal() and int(stated) > 0:
        return int(stated)
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_device(name: str, *, kinds: Sequence[str] = DEVICE_KINDS) -> tuple[str, int | None]:
    """Return the kind and the number that a device's name says: `cuda:1` is ("cuda", 1).

    Args:
        name: `auto`, a kind, or a kind and a number.
        kinds: Kinds that are allowed where the name is used.

    Returns:
        The kind, "auto" for `auto`, and the number, None where the name has none.

    Raises:
        ConfigError: No device is named so.
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
    """Return the kind and the number of a device that this machine has.

    Args:
        name: A name that `parse_device` takes; `auto` is the first of `counts`.
        counts: How many devices of each kind there are, those that `auto` prefers first.
        kinds: Kinds that are allowed where the name is used.

    Raises:
        ConfigError: This machine has no such device.
    """
    kind, number = parse_device(name, kinds=kinds)
    available = [one for one, n in counts.items() if n]
    if kind == "auto":
        return available[0], None
    if kind not in available:
        raise ConfigError(f"device {name!r} is not there; this machine has: {', '.join(available)}")
    if number is not None and number >= counts[kind]:
        raise ConfigError(
            f"device {name!r} is not there; this machine has {counts[kind]} of {kind}"
        )
    return kind, number
