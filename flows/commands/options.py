"""Options that verbs share, and the start and the output of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ..settings.faces import LAKE_HELP, JudgingOptions, NetworkOptions, ReadingOptions, RunOptions

if TYPE_CHECKING:
    from ...data.store.lake import Lake
    from ..request import Request
    from ..result import Moderation

LakeUri = Annotated[str | None, Parameter(help=LAKE_HELP)]
AsJson = Annotated[bool, Parameter("--json", negative="", help="One JSON object on stdout.")]
Quiet = Annotated[bool, Parameter(negative="", help="No progress bars.")]
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


def execute(request: Request, verb: str, *, server: bool | None, quiet: bool) -> Moderation:
    """Run the verb as a flow or as plain functions, with progress bars on a terminal."""
    from ..start import start

    return start(request, verb, server=server, quiet=quiet)


def execute_and_tell(
    request: Request, verb: str, *, server: bool | None, quiet: bool, as_json: bool
) -> None:
    """Run the verb and print its result, also if a gate refuses it.

    Raises:
        TooManyRejected: The share of rejected items exceeds the limit; raised after the summary
            is printed.
    """
    from ..result import TooManyRejected

    try:
        tell(execute(request, verb, server=server, quiet=quiet), as_json=as_json)
    except TooManyRejected as refused:
        tell(refused.result, as_json=as_json)
        raise


def tell(result: Moderation, *, as_json: bool) -> None:
    """Print the result of a run, as text or as JSON."""
    print(json.dumps(result.to_json()) if as_json else result.summary())  # noqa: T201
