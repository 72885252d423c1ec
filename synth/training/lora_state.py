"""Files of a training: the adapter and the checkpoint, each replaced atomically."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save

from ...data.errors import SynthError, shorten
from ...data.text.wording import counted

STATE: Final = "training-state.pt"
_PARTS: Final = frozenset({"identity", "adapter", "optimizer", "losses", "sha256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """A checkpoint of a training."""

    identity: Mapping[str, Any]
    """Settings and hashes that decide the weights."""
    adapter: Mapping[str, torch.Tensor]
    """Tensors of the adapter by name."""
    optimizer: Mapping[str, Any]
    """State of the optimiser."""
    losses: Sequence[float]
    """Loss of each step."""


def write_state(folder: Path, state: TrainingState) -> None:
    """Replace the checkpoint of a training.

    Raises:
        SynthError: The file cannot be written.
    """
    values = {
        "identity": json.dumps(state.identity, sort_keys=True),
        "adapter": dict(state.adapter),
        "optimizer": dict(state.optimizer),
        "losses": list(state.losses),
    }
    buffer = io.BytesIO()
    torch.save(values | {"sha256": _digest(values)}, buffer)
    replace_file(folder / STATE, buffer.getvalue())


def read_state(folder: Path, identity: Mapping[str, Any], n_steps: int) -> TrainingState | None:
    """Return the checkpoint to resume from; None if there is none.

    Args:
        folder: Folder of the adapter.
        identity: Settings and hashes of the training to run.
        n_steps: Number of steps of the training to run.

    Raises:
        SynthError: The checkpoint is damaged, of another training, or has more steps.
    """
    path = folder / STATE
    if not path.exists():
        return None
    state = _read(path)
    if differing := sorted(
        name
        for name in {*state.identity, *identity}
        if state.identity.get(name) != identity.get(name)
    ):
        raise SynthError(
            f"{folder} holds a training with other settings ("
            + ", ".join(_difference(name, state.identity, identity) for name in differing)
            + f"); give another folder, or remove {STATE} to start over"
        )
    if len(state.losses) > n_steps:
        raise SynthError(
            f"{folder} holds a training of {counted(len(state.losses), 'step')}; steps ="
            f" {n_steps} is fewer: set at least {len(state.losses)}, or give another folder"
        )
    return state


def _read(path: Path) -> TrainingState:
    try:
        # weights_only: tensors and plain values, nothing that runs.
        return _state_of(
            torch.load(io.BytesIO(path.read_bytes()), weights_only=True, map_location="cpu")
        )
    except Exception as error:
        # The pickle of a truncated or foreign file can raise anything.
        why = shorten(str(error).partition("\n")[0], 90) or type(error).__name__
        raise SynthError(
            f"{path} is truncated or damaged ({why}); restore it from a copy, or remove it to "
            "start over"
        ) from error


def _state_of(values: Any) -> TrainingState:
    if not isinstance(values, dict) or set(values) != _PARTS:
        raise ValueError("it is not a checkpoint of this version")
    if values.pop("sha256") != _digest(values):
        raise ValueError("its content does not match its hash")
    return TrainingState(**values | {"identity": json.loads(values["identity"])})


def _difference(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name == "pictures":
        return "other images or captions"
    return f"{name} is {then.get(name)} there and {now.get(name)} here"


def _digest(value: Any) -> str:
    total = hashlib.sha256()
    _feed(total, value)
    return total.hexdigest()


def _feed(total: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for name in sorted(value, key=str):
            total.update(f"{name}:".encode())
            _feed(total, value[name])
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(total, item)
    elif isinstance(value, torch.Tensor):
        total.update(f"{value.dtype} {tuple(value.shape)}".encode())
        flat = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        total.update(flat.numpy().tobytes())
    else:
        total.update(repr(value).encode())
    total.update(b";")


def safetensors_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file that is the same, byte for byte, for the same contents.

    The library writes metadata in a varying order; here the header is rewritten with sorted keys.

    Args:
        tensors: Tensors by name.
        metadata: Texts by name, for the header.
    """
    raw = save(dict(tensors), metadata=dict(metadata))
    (n_bytes,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + n_bytes])
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    body: bytes = raw[8 + n_bytes :]
    return struct.pack("<Q", len(head)) + head + body


def replace_file(path: Path, raw: bytes) -> None:
    """Replace a file atomically.

    Raises:
        SynthError: The file cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise SynthError(f"{path} cannot be written: {error}") from error
