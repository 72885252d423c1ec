"""Filters for log messages at import that users cannot act on."""

from __future__ import annotations

import logging
from typing import Final

# torchao registers enumerations with PyTorch and lacks types of its earlier versions; bitsandbytes
# would load a kernel from a model hub.
_NOISE: Final = {
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    "torch.utils._pytree": "is an Enum subclass",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}


def drop_import_noise() -> None:
    """Filter these messages and no others; must be called before the libraries are loaded."""
    for name in _NOISE:
        logging.getLogger(name).addFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return _NOISE[record.name] not in str(record.msg)
