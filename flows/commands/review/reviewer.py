"""The name under which answers of this process are recorded."""

from __future__ import annotations

import getpass
import os
from typing import Annotated, Final

from cyclopts import Parameter

from ....data.errors import InputError

VARIABLE: Final = "ASSAY_REVIEWER"

Reviewer = Annotated[
    str | None,
    Parameter(
        name=["--reviewer", "-r"],
        help="Name of the reviewer [default: ASSAY_REVIEWER, or the user of the system].",
    ),
]


def reviewer_of(given: str | None) -> str:
    """Return the given name, or that of the variable or of the user.

    Args:
        given: Name of the option; None without one.

    Raises:
        InputError: The name is not allowed, or there is none.
    """
    from ....tasks.review.answer import require_reviewer

    name = os.environ.get(VARIABLE) if given is None else given
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError) as error:  # no user of that id, before and after Python 3.13
            raise InputError(
                f"this user has no name; pass --reviewer NAME, or set {VARIABLE}"
            ) from error
    require_reviewer(name)
    return name
