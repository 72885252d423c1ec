"""The large parts of a generator in fewer bits: int8 by torchao anywhere, by bitsandbytes on CUDA.

nf4 is bitsandbytes' on every device; on a CPU for T5 alone, since diffusers wants a GPU for it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch

from ...data.errors import SynthError, shorten
from .memory import MemoryPlan

QUANTISED: Final = ("int8", "nf4")


def quantisers(device: str) -> tuple[str, ...]:
    """Of `QUANTISED`, what a device can hold weights in, as far as can be told without it."""
    if device.startswith("cuda"):
        return QUANTISED
    return ("int8",) if find_spec("torchao") else ()


def quantised_parts(
    folder: Path, plan: MemoryPlan, dtype: torch.dtype, device: str
) -> dict[str, Any]:
    """The parts of a pipeline that the plan holds in fewer bits, loaded; empty for none.

    Raises:
        SynthError: The device or the installed packages cannot, or the stored weights do not
            allow it.
    """

    def load(kind: Any, part: str, library: Any, how: str) -> Any:
        # By itself, bitsandbytes would put a part for the CPU on the GPU beside it.
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
            f"{folder} cannot be loaded in fewer bits: "
            f"{shorten(f'{type(error).__name__}: {error}')}; use --t5 keep or drop"
        ) from error
    return parts


def _config(owner: Any, how: str, dtype: torch.dtype, device: str) -> Any:
    """The quantisation that `owner`, which is `transformers` or `diffusers`, shall load with."""
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
        return owner.BitsAndBytesConfig(load_in_8bit=True)
    if not find_spec("torchao"):
        raise SynthError(
            "int8 weights need torchao: pip install 'assay[torchao]'; or use --t5 keep or drop"
        )
    from torchao.quantization import Int8WeightOnlyConfig

    return owner.TorchAoConfig(Int8WeightOnlyConfig())
