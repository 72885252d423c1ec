"""Everything that makes pictures. It takes a detector as an argument and never imports one."""

import logging
from typing import Final

# What importing torchao makes others say on stderr, although nobody here can act on it: that it
# registers enumerations with PyTorch, and that it lacks types of its own earlier versions.
_NOISE: Final = {
    "torch.utils._pytree": "is an Enum subclass",
    "diffusers.quantizers.torchao.torchao_quantizer": "Unable to import `torchao` Tensor objects",
}


def _says_more(record: logging.LogRecord) -> bool:
    return _NOISE[record.name] not in str(record.msg)


for _name in _NOISE:
    logging.getLogger(_name).addFilter(_says_more)
