"""The exceptions of assay, and the exit code of the command for each branch.

A bad row is a value (status, reason, detail), not an exception. Exceptions stop a shard or a run::

    AssayError                  1
    ├── ConfigError             2   a flag, a policy file or a setting is invalid
    ├── InputError              3   a source cannot be read at all
    │   └── UnreadableImage         an image cannot be used; caught at the row boundary
    ├── StoreError              4   the lake cannot be read or written
    │   ├── CommitConflict          another writer committed first; read again and retry
    │   ├── MissingVersion          a table version does not exist
    │   └── OutputLost              stdout cannot be written; the work itself is done
    ├── ModelError              5   a detector is not available or not trusted
    │   ├── UntrustedWeights        hash, layout or file type differs from the declared one
    │   └── WrongRevision           a revision is known to be broken, or is not pinned
    ├── GateRefused             6   a check refused to publish or to promote
    ├── EngineError             7   a cluster has lost a task several times
    └── SynthError              5   a generator does not support the request
        └── GeneratorFailed         it raised, or returned no image; caught at the row boundary

A message states what was seen, what is allowed, and what to do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from .text.printable import printable
from .text.redaction import redact_text
from .text.unicode import valid_text

if TYPE_CHECKING:
    from .vocabulary import Reason

DETAIL_MAX_CHARS = 200

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# Start of Rust's debug output after the message.
_STACK = re.compile(
    r"\n\s*0: |\n\s*(?:stack )?backtrace|\n\s*Debug source:|\nnote: |:? ?\b[A-Z]\w+ \{ \w+: "
)


class AssayError(Exception):
    """Base of every exception that assay raises itself.

    The text may quote external input; secrets of URLs and escape codes are removed from it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *args: Any) -> None:
        super().__init__(*(clean(arg) if isinstance(arg, str) else arg for arg in args))


class ConfigError(AssayError):
    """A flag, a policy file or a setting is invalid."""

    exit_code = 2


class InputError(AssayError):
    """A source cannot be read at all."""

    exit_code = 3


class UnreadableImage(InputError):
    """An image cannot be used; it becomes a rejected row with this reason and detail."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = shorten(detail)
        super().__init__(f"{reason.value}: {self.detail}")

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[Reason, str]]:
        # The default would rebuild from args, which holds only the joined message.
        return type(self), (self.reason, self.detail)


class StoreError(AssayError):
    """The lake cannot be read or written."""

    exit_code = 4


class CommitConflict(StoreError):
    """Another writer committed first; read the table again and retry."""


class MissingVersion(StoreError):
    """A table version does not exist or was vacuumed."""


class OutputLost(StoreError):
    """The command's output cannot be written, for example to a full disk."""


class ModelError(AssayError):
    """A detector is not available or not trusted."""

    exit_code = 5


class UntrustedWeights(ModelError):
    """The hash, layout or file type of weights differs from the declared one."""


class WrongRevision(ModelError):
    """A revision is known to be broken, or is not pinned to a commit."""


class GateRefused(AssayError):
    """A check refused to publish or to promote."""

    exit_code = 6


class EngineError(AssayError):
    """A cluster that runs tasks has lost one several times, or was lost itself."""

    exit_code = 7


class SynthError(AssayError):
    """A generator does not support the request."""

    exit_code = 5


class GeneratorFailed(SynthError):
    """A generator raised or returned no image for a valid request."""


def clean(text: str) -> str:
    """Return a text without secrets of URLs and without terminal control characters."""
    return printable(redact_text(text))


def is_panic(error: BaseException) -> bool:
    """Return whether an error is a panic of a Rust library, a direct BaseException subclass."""
    return type(error).__module__ == "pyo3_runtime"


def brief(error: BaseException) -> str:
    """Return a library's error as one line, without colours, Rust stack frames or debug output."""
    text = _ANSI.sub("", str(error))
    text = _STACK.split(text, maxsplit=1)[0]
    return shorten(text) or type(error).__name__


def shorten(text: str, max_chars: int = DETAIL_MAX_CHARS) -> str:
    """Return a text as one clean line of at most `max_chars` characters; "…" marks a cut.

    Lone surrogates, which file names and JSON may contain, are replaced: UTF-8 cannot encode them.
    """
    line = clean(" ".join(valid_text(text).split()))
    return line if len(line) <= max_chars else line[: max_chars - 1] + "…"
