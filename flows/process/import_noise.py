"""What torchao and bitsandbytes make libraries say, though nobody here can act on it."""

from __future__ import annotations

import logging
from typing import Final

# That one registers enumerations with PyTorch and lacks types its earlier versions had, and that
# the other would take a product from a model hub.
_NOISE: Final = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    "torch.utils._pytree": "is an Enum subclass",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}


def drop_import_noise() -> None:
    """Keep these lines, and no others, from stderr; to be called before the libraries load."""
    for name in _NOISE:
        logging.getLogger(name).addFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return _NOISE[record.name] not in str(record.msg)
