"""Counts that a stopped step has committed, passed on with the exception that stopped it.

An interrupt (Ctrl-C, SIGTERM, a cancelled flow run) may come at any line. Steps commit finished
work as they exit and attach the counts to the exception, so that the run can record and report
them.
"""

from __future__ import annotations

from typing import Any, Final

_KEPT: Final = "_assay_kept"


def is_stop(error: BaseException) -> bool:
    """Return whether an error is a request to stop, not a failure."""
    # A Rust library's panic derives from BaseException, but is a failure.
    return not isinstance(error, Exception) and type(error).__name__ != "PanicException"


def hand_on(error: BaseException, *counts: object) -> None:
    """Attach the counts of committed work to an exception, in place of earlier ones."""
    setattr(error, _KEPT, counts)


def kept_of(error: BaseException | None) -> tuple[Any, ...]:
    """Return the counts that the last step attached to an exception or to its cause."""
    while error is not None:
        if (counts := getattr(error, _KEPT, None)) is not None:
            return tuple(counts)
        error = error.__cause__ or error.__context__
    return ()


def standing_of(n_done: int, total: int | None, what: str, verb: str) -> str:
    """Return a sentence on how much of a phase is kept and where the same command resumes.

    Args:
        n_done: Number of committed items.
        total: Number of all items; None while it is unknown.
        what: Noun in the plural, such as `images`.
        verb: Participle of the phase's work, such as `scored`.
    """
    if not n_done:
        return f"no {what} were {verb} yet; the same command starts with them"
    if total is None:
        return f"{n_done:,} {what} are {verb} and kept; the same command resumes after them"
    if n_done >= total:
        return f"all {total:,} {what} are {verb} and kept; the same command does the next phase"
    return (
        f"{n_done:,} of {total:,} {what} are {verb} and kept;"
        f" the same command resumes with the other {total - n_done:,}"
    )
