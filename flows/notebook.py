"""Jupyter magics: `%load_ext assay`, then `%moderate SOURCE...` displays the result."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from ..data.errors import AssayError
from ..data.user_paths import from_home
from .fields.marks import NOT_KEPT, kind_of, option_of
from .fields.refusals import choices
from .request import Request
from .settings.describe import help_of

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .results.moderation import Moderation


Magic = TypeVar("Magic", bound="Callable[[AssayMagics, str], Moderation]")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; `%load_ext assay` calls this."""
    shell.register_magics(AssayMagics)


def _with_arguments(magic: Magic) -> Magic:
    """Return a magic with its arguments and a help text that lists them."""
    whole = argument("--server", action="store_true", help="Run as a Prefect flow.")(magic)
    for name, field in reversed(Request.model_fields.items()):
        if name not in NOT_KEPT:
            flag = option_of(name, field)
            whole = argument(flag, dest=name, **_kind_of_argument(name))(whole)
    sources = str(Request.model_fields["sources"].description)
    whole = argument("sources", nargs="+", help=sources)(whole)
    finished: Magic = magic_arguments()(whole)
    return finished


def _kind_of_argument(name: str) -> dict[str, Any]:
    """Return argparse's keywords for a setting, whose default is None."""
    field = Request.model_fields[name]
    kind, _ = kind_of(field)
    options: dict[str, Any] = {"help": help_of(name, field).replace("%", "%%"), "default": None}
    if kind is bool:
        return options | {"action": argparse.BooleanOptionalAction}
    if kind is tuple:
        return options | {"action": "append"}
    if names := choices(field):
        options["choices"] = names
    return options if kind is str else options | {"type": kind}


@magics_class
class AssayMagics(Magics):  # type: ignore[misc]  # Class cannot subclass "Magics" (has type "Any")
    """The magics of assay."""

    @_with_arguments
    @line_magic  # type: ignore[untyped-decorator]
    def moderate(self, line: str) -> Moderation:
        """Ingest, score, decide and report; quote a source that contains spaces."""
        given = vars(parse_argstring(AssayMagics.moderate, line))
        sources = [_plain(source) for source in given.pop("sources")]
        settings = {name: _plain(value) for name, value in given.items() if value is not None}
        from .api.moderate import moderate

        try:
            return moderate(*sources, **settings)
        except AssayError as error:
            # IPython shows a UsageError as one line without a traceback.
            raise UsageError(" ".join(str(error).split())) from None


def _plain(value: Any) -> Any:
    """Return a value as a shell would pass it, since IPython keeps quotes and the tilde."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, str):
        return value
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return str(from_home(value)) if value.startswith("~") else value
