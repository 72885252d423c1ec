"""Jupyter: `%load_ext assay`, then `%moderate SOURCE...` gives a result that draws itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from ..data.errors import AssayError
from ..data.user_paths import from_home

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from .result import Moderation


Magic = TypeVar("Magic", bound="Callable[[AssayMagics, str], Moderation]")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by `%load_ext assay`."""
    shell.register_magics(AssayMagics)


_OPTIONS: Final = {
    "--lake": "folder or s3://bucket/prefix of the lake",
    "--detector": "registered name, org/name@revision or a folder",
    "--profile": "preprocessing; the detector's own by default",
    "--policy": "policy file; the packaged one by default",
    "--domain": "domain of all items, such as photo or art",
    "--label-from": "parent-folder, or column:NAME",
    "--device": "auto, cpu, cuda, mps or xpu",
}


def _with_arguments(magic: Magic) -> Magic:
    """Give a magic its arguments, and a help text that lists them."""
    whole = argument("--server", action="store_true", help="run as a Prefect flow")(magic)
    for flag, text in reversed(_OPTIONS.items()):
        whole = argument(flag, help=text)(whole)
    sources = "files, folders, globs, archives, tables or URLs"
    whole = argument("sources", nargs="+", help=sources)(whole)
    finished: Magic = magic_arguments()(whole)
    return finished


@magics_class
class AssayMagics(Magics):  # type: ignore[misc]  # Class cannot subclass "Magics" (has type "Any")
    """The magics of assay."""

    @_with_arguments
    @line_magic  # type: ignore[untyped-decorator]
    def moderate(self, line: str) -> Moderation:
        """Ingest, score, decide and report; quote a source that has spaces in it."""
        given = vars(parse_argstring(AssayMagics.moderate, line))
        sources = [_plain(source) for source in given.pop("sources")]
        settings: dict[str, Any] = {
            name: _plain(value) if isinstance(value, str) else value
            for name, value in given.items()
            if value is not None
        }
        from .api import moderate

        try:
            return moderate(*sources, **settings)
        except AssayError as error:
            # A UsageError is shown as one line; the traceback says nothing to who mistyped.
            raise UsageError(" ".join(str(error).split())) from None


def _plain(text: str) -> str:
    """What a shell would pass on: IPython keeps the quotes of an argument, and the tilde."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return str(from_home(text)) if text.startswith("~") else text
