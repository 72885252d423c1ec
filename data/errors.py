"""The one family of errors, and the exit code that each branch gives the command.

A bad row is a value (a status, a reason, a detail), not an exception; these are for
what stops a shard or a run::

    AssayError                  1
    ├── ConfigError             2   a flag, a policy file or a setting is wrong
    ├── InputError              3   a source cannot be read at all
    │   └── UnreadableImage         one picture cannot be used; caught at the row boundary
    ├── StoreError              4   the lake cannot be read or written
    │   ├── CommitConflict          another writer won; read again and retry
    │   ├── MissingVersion          the table version asked for does not exist
    │   └── OutputLost              stdout cannot be written; the work itself is done
    ├── ModelError              5   a detector cannot be had or cannot be trusted
    │   ├── UntrustedWeights        hash, layout or file kind is not the promised one
    │   └── WrongRevision           a revision known to be broken, or not pinned
    ├── GateRefused             6   a check refused to publish or to promote
    └── SynthError              5   a generator cannot do what was asked
        └── GeneratorFailed         it raised, or gave no picture; caught at the row boundary

Messages say what was seen, what was allowed, and what to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from .text.printable import printable
from .text.redaction import redact_text
from .text.unicode import valid_text

if TYPE_CHECKING:
    from .schema import Reason

DETAIL_MAX_CHARS = 200

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Where the message ends and what Rust knows of its own innards begins.
_STACK = re.compile(
    r"\n\s*0: |\n\s*(?:stack )?backtrace|\n\s*Debug source:|\nnote: |:? ?\b[A-Z]\w+ \{ \w+: "
)


class AssayError(Exception):
    """Anything assay raises on purpose; catch it to catch them all.

    Its text may quote what came from outside: no secret of a URL and no escape code is kept.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *args: Any) -> None:
        super().__init__(*(clean(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(AssayError):
    """A flag, a policy file or a setting is wrong."""

    exit_code = 2


class InputError(AssayError):
    """A source cannot be read at all."""

    exit_code = 3


class UnreadableImage(InputError):
    """One picture cannot be used; becomes a rejected row with this reason and detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = shorten(detail)
        super().__init__(f"{reason.value}: {self.detail}")

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[Reason, str]]:
        # The default would rebuild from args, which holds the joined message only.
        return type(self), (self.reason, self.detail)


class StoreError(AssayError):
    """The lake cannot be read or written."""

    exit_code = 4


class CommitConflict(StoreError):
    """Another writer committed first; read the table again and retry."""


class MissingVersion(StoreError):
    """The table version asked for does not exist or was vacuumed."""


class OutputLost(StoreError):
    """What the command had to say cannot be written: a full disk behind stdout."""


class ModelError(AssayError):
    """A detector cannot be had, or cannot be trusted."""

    exit_code = 5


class UntrustedWeights(ModelError):
    """The weights' hash, layout or file kind is not the promised one."""


class WrongRevision(ModelError):
    """A revision that is known to be broken, or that is not pinned to a commit."""


class GateRefused(AssayError):
    """A check refused to publish or to promote."""

    exit_code = 6


class SynthError(AssayError):
    """A generator cannot do what was asked."""

    exit_code = 5


class GeneratorFailed(SynthError):
    """A generator was asked for what it takes, and raised or gave no picture."""


def clean(text: str) -> str:
    """Return a text without secrets of URLs and without characters that steer a terminal."""
    return printable(redact_text(text))


def is_panic(error: BaseException) -> bool:
    """Whether an error is a panic of a Rust library, which derives from BaseException alone."""
    return type(error).__module__ == "pyo3_runtime"


def brief(error: BaseException) -> str:
    """Return an error of a library as one line: no colours, no stack of Rust frames, no tags."""
    text = _ANSI.sub("", str(error))
    text = _STACK.split(text, maxsplit=1)[0]
    return shorten(text) or type(error).__name__


def shorten(text: str, max_chars: int = DETAIL_MAX_CHARS) -> str:
    """One clean line of at most `max_chars` characters; a cut is marked with an ellipsis.

    What UTF-8 cannot hold is replaced: file names and JSON may hold any bytes.
    """
    line = clean(" ".join(valid_text(text).split()))
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"
