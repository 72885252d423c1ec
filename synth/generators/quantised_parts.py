"""Quantised T5 and transformer: int8 by bitsandbytes on CUDA, else by torchao; nf4 by bitsandbytes.

On a CPU, nf4 is for T5 alone, since diffusers requires a GPU to load its models in nf4.
"""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from ...data.errors import SynthError, shorten
from .memory import MemoryPlan

QUANTISED: Final = ("int8", "nf4")


def quantisers(device: str) -> tuple[str, ...]:
    """Return the formats of `QUANTISED` that a device supports, judged by its name.

    Args:
        device: Name of the device; it need not be present.
    """
    if device.startswith("cuda"):
        return QUANTISED
    return ("int8",) if find_spec("torchao") else ()


def quantised_parts(
    folder: Path, plan: MemoryPlan, dtype: torch.dtype, device: str
) -> dict[str, Any]:
    """Load the parts of a pipeline that the plan quantises; empty if there are none.

    Args:
        folder: Diffusers folder of the generator.
        plan: Memory plan with the format of each part.
        dtype: Type of the computation.
        device: Name of the device.

    Raises:
        SynthError: The device, the installed packages or the stored weights do not support it.
    """

    def load(kind: Any, part: str, library: Any, how: str) -> Any:
        # Without a device map, bitsandbytes moves a part meant for the CPU to a GPU.
        placed = {"device_map": {"": "cpu"}} if (device, how) == ("cpu", "nf4") else {}
        return kind.from_pretrained(
            folder,
            subfolder=part,
            quantization_config=_config(library, how, dtype, device),
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            **placed,
        )

    parts: dict[str, Any] = {}
    try:
        if plan.t5 in QUANTISED:
            import transformers

            kind: Any = transformers.T5EncoderModel
            parts["text_encoder_3"] = load(kind, "text_encoder_3", transformers, plan.t5)
        if plan.transformer in QUANTISED:
            import diffusers

            kind = diffusers.SD3Transformer2DModel
            parts["transformer"] = load(kind, "transformer", diffusers, plan.transformer)
    except (OSError, ValueError, RuntimeError) as error:
        raise SynthError(
            f"{folder} cannot be loaded quantised: "
            f"{shorten(f'{type(error).__name__}: {error}')}; use --t5 keep or drop"
        ) from error
    return parts


def _config(owner: Any, how: str, dtype: torch.dtype, device: str) -> Any:
    """Return the quantisation config of `owner`, which is `transformers` or `diffusers`."""
    if how == "nf4":
        if not find_spec("bitsandbytes"):
            raise SynthError(
                "nf4 needs bitsandbytes: pip install 'assay[bitsandbytes]'; or use int8, keep or "
                "drop"
            )
        return owner.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
    if device.startswith("cuda") and find_spec("bitsandbytes"):
        # It reports the format of its inputs at every product of every step.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return owner.BitsAndBytesConfig(load_in_8bit=True)
    if not find_spec("torchao"):
        raise SynthError(
            "int8 weights need torchao: pip install 'assay[torchao]'; or use --t5 keep or drop"
        )
    from torchao.quantization import Int8WeightOnlyConfig

    return owner.TorchAoConfig(Int8WeightOnlyConfig())
