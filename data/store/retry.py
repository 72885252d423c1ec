"""Doing work of an object store again when an answer of it was cut off.

Object-store libraries repeat requests that were refused or never answered, but not those whose
answer broke off in its body. Reading a table takes several answers, so tries are many and cheap.
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
    """Whether an error says that an answer broke off, so that asking again may help."""
    return _CUT_OFF.search(str(error)) is not None


def retried(work: Callable[[], T]) -> T:
    """Return what the work gives, doing it again while answers to it are cut off.

    The work must be safe to repeat. What else it raises is raised at once.
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
