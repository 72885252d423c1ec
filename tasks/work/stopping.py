"""What a step has committed by the time something stops it, handed on with whatever did.

An interrupt (Ctrl-C, SIGTERM, a cancelled flow run) may come at any line. Steps commit what is
done on their way out and leave the counts with the exception, so that the run can record and
tell them.
"""

from __future__ import annotations

from typing import Any, Final

_KEPT: Final = "_assay_kept"


def is_stop(error: BaseException) -> bool:
    """Return whether somebody asked for an end, rather than something having failed."""
    # A panic of a Rust library derives from BaseException alone, and is a failure all the same.
    return not isinstance(error, Exception) and type(error).__name__ != "PanicException"


def hand_on(error: BaseException, *counts: object) -> None:
    """Leave the counts of what is committed with an exception; they replace earlier ones."""
    setattr(error, _KEPT, counts)


def kept_of(error: BaseException | None) -> tuple[Any, ...]:
    """Return the counts that the last step to see an exception, or its cause, left with it."""
    while error is not None:
        if (counts := getattr(error, _KEPT, None)) is not None:
            return tuple(counts)
        error = error.__cause__ or error.__context__
    return ()


def standing_of(n_done: int, total: int | None, what: str, verb: str) -> str:
    """Return how much of a phase is kept, and what running it again does.

    Args:
        n_done: Number that is committed.
        total: Number in all; None while it is not known.
        what: Noun in the plural, such as `images`.
        verb: Participle of what is done with them, such as `scored`.
    """
    if not n_done:
        return f"no {what} were {verb} yet; the same command starts with them"
    if total is None:
        return f"{n_done:,} {what} are {verb} and kept; the same command goes on after them"
    if n_done >= total:
        return f"all {total:,} {what} are {verb} and kept; the same command does what follows"
    return (
        f"{n_done:,} of {total:,} {what} are {verb} and kept;"
        f" the same command goes on with the other {total - n_done:,}"
    )
