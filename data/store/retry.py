"""Retries of object-store work after a response that was cut off.

Object-store libraries retry requests that were refused or got no response, but not those with a
response cut off in its body. Reading a table takes several responses, so attempts are many and
cheap.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

RETRY_FOR_S: Final = 60.0
MAX_TRIES: Final = 40
MAX_PAUSE_S: Final = 0.5

_CUT_OFF: Final = re.compile(
    r"response body|body from connection|before message (?:length reached|completed)"
    r"|connection reset|broken pipe|partial file|transferred a partial|curlCode: (?:18|56)"
    r"|outstanding read data|premature|unexpected (?:eof|end of file)",
    re.IGNORECASE,
)


def is_cut_off(error: BaseException) -> bool:
    """Return whether an error is a response that was cut off, so that a retry may help."""
    return _CUT_OFF.search(str(error)) is not None


def retried(work: Callable[[], T]) -> T:
    """Return the result of `work`, retried while responses to it are cut off.

    `work` must be safe to repeat. Other exceptions are raised at once.
    """
    deadline_s = time.monotonic() + RETRY_FOR_S
    for attempt in range(MAX_TRIES):
        try:
            return work()
        except BaseException as error:
            is_last = attempt == MAX_TRIES - 1 or time.monotonic() > deadline_s
            if is_last or not is_cut_off(error):
                raise
        pause_s = min(MAX_PAUSE_S, 0.02 * 2**attempt)
        time.sleep(random.uniform(0, pause_s))  # noqa: S311 - spreads readers, no secret
    raise AssertionError
