"""Options that verbs share, and the start and the output of a run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..process.browser import open_page
from ..process.verbosity import is_quiet
from ..settings.faces import LAKE_HELP, JudgingOptions, NetworkOptions, ReadingOptions, RunOptions

if TYPE_CHECKING:
    from ...data.store.lake import Lake
    from ..dry_run.effects import Effects
    from ..request import Request
    from ..results.moderation import Moderation

Sources = Annotated[
    tuple[str, ...],
    Parameter(
        name="SOURCE",
        negative="",
        help="Files, folders, globs, zip or tar archives, Parquet, JSONL or CSV tables, or URLs.",
    ),
]
LakeUri = Annotated[str | None, Parameter(help=LAKE_HELP)]
Flag = Parameter(negative="", show_default=False)
"""Form of an option that is off by default and has no opposite."""

AsJson = Annotated[bool, Flag, Parameter("--json", help="One JSON object on stdout.")]
Open = Annotated[
    bool,
    Flag,
    Parameter("--open", help="Page shown in the browser, or its path if there is no display."),
]
DryRun = Annotated[
    bool,
    Flag,
    Parameter(
        "--dry-run",
        help="Counts and paths of what would be read and written; nothing is changed.",
    ),
]
Server = Annotated[
    bool | None,
    Parameter(
        help="Prefect flow on the configured server or a temporary one, or plain functions "
        "[default: a flow if a Prefect server is configured]."
    ),
]


Running = Annotated[RunOptions | None, Parameter(name="*")]
Reading = Annotated[ReadingOptions | None, Parameter(name="*")]
Network = Annotated[NetworkOptions | None, Parameter(name="*")]
Judging = Annotated[JudgingOptions | None, Parameter(name="*")]


def request_of(
    sources: Sequence[str], *options: RunOptions | ReadingOptions | NetworkOptions | None
) -> Request:
    """Return the request of a run: options, then the environment, then `assay.toml`."""
    from ..settings.resolve import request_of as resolved

    return resolved(sources=tuple(sources), **given_by(*options))


def given_by(*options: RunOptions | ReadingOptions | NetworkOptions | None) -> dict[str, Any]:
    """Return the settings that options give, by name."""
    given: dict[str, Any] = {}
    for part in options:
        given |= part or {}
    return given


def open_lake(lake: str | None) -> Lake:
    """Open the lake of the option or the settings.

    Raises:
        StoreError: The lake does not exist or cannot be read.
    """
    from ...data.store.lake import Lake
    from ..settings.resolve import default_lake

    return Lake(default_lake() if lake is None else lake, create=False)


def open_settled(lake: str | None, *, dry_run: bool = False) -> Lake:
    """Open the lake for its answers: those in its journal are moved into the table before.

    Args:
        lake: Lake of the option.
        dry_run: Whether to move nothing.

    Raises:
        StoreError: The lake does not exist or cannot be read.
    """
    from ...tasks.review.answers import settle

    opened = open_lake(lake)
    if not dry_run:
        settle(opened)
    return opened


def lake_of_image(image: str, lake: str | None) -> Lake | None:
    """Open the lake in which an image is looked up; None if the image is a file.

    Raises:
        InputError: The image is a folder.
        StoreError: There is no such file, and the lake does not exist or cannot be read.
    """
    from ...data.errors import StoreError
    from ...tasks.browse.find_image import local_file

    if local_file(image) is not None:
        return None
    try:
        return open_lake(lake)
    except StoreError as error:
        raise StoreError(f"there is no file {image!r}; {error}") from error


def execute(request: Request, verb: str, *, server: bool | None) -> Moderation:
    """Run the verb as a flow or as plain functions, with progress bars on a terminal."""
    from ..start import start

    return start(request, verb, server=server)


def print_effects(effects: Effects, *, as_json: bool = False) -> None:
    """Print the effects of a dry run, as text or as JSON."""
    print(json.dumps(effects.to_json()) if as_json else effects.summary())  # noqa: T201


def execute_and_print(
    request: Request,
    verb: str,
    *,
    server: bool | None,
    as_json: bool,
    open_: bool = False,
    dry_run: bool = False,
) -> None:
    """Run the verb and print its result, also if a gate refuses it.

    Args:
        request: Settings of the run.
        verb: Name of the run: `moderate`, `ingest` or `score`.
        server: Whether to run as a flow; None: if a Prefect server is configured.
        as_json: Whether to print JSON.
        open_: Whether to show the report in the browser.
        dry_run: Whether to print the effects of the run instead of starting it.

    Raises:
        TooManyRejected: The share of rejected items exceeds the limit; raised after the summary
            is printed.
    """
    if dry_run:
        from ..dry_run.moderation import moderation_effects

        print_effects(moderation_effects(request, verb), as_json=as_json)
        return
    from ..results.moderation import TooManyRejected

    try:
        result, refused = execute(request, verb, server=server), None
    except TooManyRejected as error:
        result, refused = error.result, error
    print_result(result.summary, paths=result.paths, values=result.to_json(), as_json=as_json)
    if open_:
        open_page(result.report)
    if refused is not None:
        raise refused


def print_result(
    text: Callable[[], str],
    *,
    paths: Iterable[object],
    values: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Print a result: as JSON, or its paths in one line if output is quiet, or as text.

    Args:
        text: Function that returns the text.
        paths: Paths of what has been written, quoted for a shell; without any, the text is printed.
        values: Result as plain values.
        as_json: Whether to print JSON.
    """
    places = [str(path) for path in paths]
    if as_json:
        print(json.dumps(values))  # noqa: T201
    elif is_quiet() and places:
        print(shlex.join(places))  # noqa: T201
    else:
        print(text())  # noqa: T201
