"""A training on disk: its adapter, and the state that it goes on from, each replaced as a whole."""

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

STATE: Final = "training-state.pt"
_PARTS: Final = frozenset({"identity", "adapter", "optimizer", "losses", "sha256"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingState:
    """How far a training is."""

    identity: Mapping[str, Any]
    """Settings and hashes that decide the weights."""
    adapter: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any]
    losses: Sequence[float]


def write_state(folder: Path, state: TrainingState) -> None:
    """Replace the state of a training.

    Raises:
        SynthError: It cannot be written.
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
    """Return the state of a training that goes on; None where there is none.

    Args:
        folder: Folder of the adapter.
        identity: Identity of the training that is asked for.
        n_steps: Steps that are asked for in all.

    Raises:
        SynthError: The state is damaged, of another training, or further than what is asked for.
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
            f"{folder} holds a training of {len(state.losses)} steps, and {n_steps} are asked for; "
            f"ask for at least {len(state.losses)}, or give another folder"
        )
    return state


def _read(path: Path) -> TrainingState:
    try:
        # weights_only: tensors and plain values, nothing that runs.
        return _state_of(
            torch.load(io.BytesIO(path.read_bytes()), weights_only=True, map_location="cpu")
        )
    except Exception as error:
        # Whatever the pickle of a cut or foreign file leads to.
        why = shorten(str(error).partition("\n")[0], 90) or type(error).__name__
        raise SynthError(
            f"{path} is cut or damaged ({why}); put a copy of it back, or remove it to start over"
        ) from error


def _state_of(values: Any) -> TrainingState:
    if not isinstance(values, dict) or set(values) != _PARTS:
        raise ValueError("it is no state of a training of this version")
    if values.pop("sha256") != _digest(values):
        raise ValueError("its content does not have the hash that was written with it")
    return TrainingState(**values | {"identity": json.loads(values["identity"])})


def _difference(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name == "pictures":
        return "other pictures or captions"
    return f"{name} {then.get(name)} there, {now.get(name)} here"


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
    """Return a safetensors file; the same tensors and metadata give the same bytes.

    The library writes metadata in another order each time; here its header is written sorted.
    """
    raw = save(dict(tensors), metadata=dict(metadata))
    (n_bytes,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + n_bytes])
    head = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    body: bytes = raw[8 + n_bytes :]
    return struct.pack("<Q", len(head)) + head + body


def replace_file(path: Path, raw: bytes) -> None:
    """Write a file so that it is there whole, or as it was before.

    Raises:
        SynthError: It cannot be written.
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
