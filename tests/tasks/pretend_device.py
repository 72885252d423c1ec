"""Two devices that are not the CPU, for machines without any: PyTorch's own Python backend.

They compute as the CPU does, and a tensor on one is as far from the CPU's and the other's as a
GPU's is: an operation on both is refused, and neither numpy nor Pillow sees it. What they cannot
show is how fast a real one is, how much memory it takes, and its own arithmetic. Registering them
is for the whole process: give it one of its own.
"""

import contextlib
from typing import Any

import torch
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

NAME = "pretend"
N_DEVICES = 2
_FACTORIES = (
    *("arange", "arange.start", "arange.start_step", "empty.memory_format", "empty_strided"),
    *("eye", "full", "linspace", "ones", "randn", "zeros"),
)
# These take tensors of two devices on every backend.
_MIXED = ("aten::_copy_from", "aten::_to_copy", "aten::copy_", "aten::index")


class Backend(_DummyBackendModule):
    """What autocast and activation checkpoints ask of `torch.pretend`; its noise is the CPU's."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Half formats."""
        return [torch.bfloat16, torch.float16]

    def device(self, _index: object) -> contextlib.AbstractContextManager[None]:
        """Their tensors say where they are."""
        return contextlib.nullcontext()

    def device_count(self) -> int:
        """As many as are pretended."""
        return N_DEVICES

    def get_device_name(self, _index: int) -> str:
        """All of one model."""
        return NAME

    def get_rng_state(self, *_: object) -> torch.Tensor:
        """Of the CPU."""
        return torch.random.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, *_: object) -> None:
        """Of the CPU."""
        torch.random.set_rng_state(state)


class OnDevice(torch.Tensor):
    """A tensor of one of the devices: the CPU's tensor `held` behind a wall."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor, index: int = 0, *_: object) -> "OnDevice":
        """Of `held`, which is not copied."""
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, index),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


class MadeOnDevice(torch.overrides.TorchFunctionMode):
    """Lists become tensors on the CPU and are moved: the backend has no other way for them."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.Tensor.__getitem__ and isinstance(args[1], list):
            args = (args[0], torch.tensor(args[1]).to(args[0].device))
        if function is torch.tensor and isinstance(args[0], list):
            plain = [one.item() if isinstance(one, OnDevice) else one for one in args[0]]
            args, device = (plain, *args[1:]), kwargs.pop("device", None)
            return function(*args, **kwargs).to(device or "cpu")
        return function(*args, **kwargs)


def register() -> list[object]:
    """Register the device; keep the returned objects as long as the device is used."""
    # Tensors behind a wall that were made outside of inference mode cannot be used inside it.
    torch.inference_mode = torch.no_grad
    _setup_privateuseone_for_python_backend(rename=NAME, backend_module=Backend())
    library = torch.library.Library("aten", "IMPL")
    for name in _FACTORIES:
        operation, _, overload = name.partition(".")
        library.impl(
            name,
            _factory(getattr(getattr(torch.ops.aten, operation), overload or "default")),
            "PrivateUse1",
        )
    mode = MadeOnDevice()
    mode.__enter__()
    return [library, mode]


def _factory(operation: Any) -> Any:
    def make(*args, device=None, layout=None, pin_memory=None, **kwargs):
        return OnDevice(operation(*args, device="cpu", **kwargs), _index(device))

    return make


def _run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = operation._schema.name
    asked = dict(kwargs)
    target = asked.pop("device", None)
    tensors: list[torch.Tensor] = []
    _each(tensors.append, (args, asked))
    places = {one.device for one in tensors if isinstance(one, OnDevice) or one.dim() > 0}
    if len(places) > 1 and name not in _MIXED:
        raise RuntimeError(f"{name}: tensors on {' and on '.join(map(str, places))}")
    out = operation(*_each(_held, args), **_each(_held, asked))
    if target is not None and torch.device(target).type != NAME:
        return out
    here = [one.device for one in tensors if isinstance(one, OnDevice)]
    index = _index(target if target is not None else here[0] if here else None)
    known = {id(one.held): one for one in tensors if isinstance(one, OnDevice)}

    def behind_the_wall(value: torch.Tensor) -> torch.Tensor:
        return known[id(value)] if id(value) in known else OnDevice(value, index)

    return _each(behind_the_wall, out)


def _index(device: Any) -> int:
    return (None if device is None else torch.device(device).index) or 0


def _each(change: Any, value: Any) -> Any:
    """Return lists, tuples and dicts with each tensor in them changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_each(change, one) for one in value])
    if isinstance(value, dict):
        return {key: _each(change, one) for key, one in value.items()}
    return value


def _held(value: torch.Tensor) -> torch.Tensor:
    return value.held if isinstance(value, OnDevice) else value
