"""What importing torchao makes other libraries say, though nobody here can act on it."""

from __future__ import annotations

import logging
from typing import Final

# That it registers enumerations with PyTorch, and that it lacks types its earlier versions had.
_NOISE: Final = {
    "torch.utils._pytree": "is an Enum subclass",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}


def drop_import_noise() -> None:
    """Keep these lines, and no others, from stderr; to be called before the libraries load."""
    for name in _NOISE:
        logging.getLogger(name).addFilter(_is_worth_saying)


def _is_worth_saying(record: logging.LogRecord) -> bool:
    return _NOISE[record.name] not in str(record.msg)
