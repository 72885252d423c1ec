"""What the verbs share: their options, and how a run is started and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from ...data.store.lake import Lake
    from ..request import Request
    from ..result import Moderation

LakeUri = Annotated[
    str | None,
    Parameter(help="Folder or s3:// prefix of the lake [default: $ASSAY_LAKE or ./assay-lake]."),
]
AsJson = Annotated[bool, Parameter("--json", negative="", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, Parameter(negative="", help="No progress bars.")]
Server = Annotated[
    bool | None,
    Parameter(
        help="Run as a Prefect flow, on the configured server or a temporary one; or as plain "
        "functions [default: as a flow if a Prefect server is configured]."
    ),
]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How sources are walked and read."""

    label_from: str | None = None
    """`parent-folder`, `column:NAME`, or `none` to withdraw the labels that earlier runs gave
    [default: a column or sidecar named label, if there is one]."""
    domain: str | None = None
    "Domain of every item, for the policy's thresholds."
    domain_from: str | None = None
    "`parent-folder`, `column:NAME`, or `none` to withdraw the domains that earlier runs gave."
    image_column: str | None = None
    "Column that holds the bytes, paths or URLs [default: found by name and type]."
    include: tuple[str, ...] = ()
    "Only items whose path matches this pattern; may be repeated."
    exclude: tuple[str, ...] = ()
    "Leave out items whose path matches this pattern; may be repeated."
    allow_private_urls: Annotated[bool, Parameter(negative="")] = False
    "Fetch from loopback, link-local and private addresses too."
    roots: Annotated[tuple[str, ...], Parameter("--root", negative="")] = ()
    "Paths that tables and lists name must lie below this folder; may be repeated."
    max_bytes: int = 64 * 2**20
    "Largest picture accepted, in bytes."
    max_pixels: int = 100_000_000
    "Largest picture accepted, width times height."
    fail_on_rejected: float | None = None
    """Exit with 6, after the whole run, if a larger share of the items was rejected: 0 for any,
    0.5 for more than half [default: never]."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Judging:
    """Which detector scores and which policy decides."""

    detector: str = "community-forensics"
    "Registered name, org/name@<40-hex revision>, or a local folder; `mini` is the embedded one."
    profile: str | None = None
    "Preprocessing: authors-imagenet or hf-clip [default: the detector's own]."
    positive: str | None = None
    "What a high logit of an unregistered checkpoint means: fake or real."
    policy: str | None = None
    "A policy.toml with thresholds [default: the packaged one]."
    device: str = "auto"
    "auto, cpu, cuda, mps, xpu or tpu."
    precision: str = "auto"
    "auto (fp32), fp32, bf16, fp16, or int8 after `assay models quantise`."
    backend: str = "auto"
    "auto (the fastest with fp32 PyTorch's scores here), torch, torch-compile or openvino."
    force_drift: Annotated[bool, Parameter(negative="")] = False
    "Use a backend even where it moves scores further than it may."
    views: str = "centre"
    "centre; tiles: score the whole picture in tiles too; adaptive: where the centre is uncertain."


# Frozen, so that verbs may share them as their defaults.
READING = Reading()
JUDGING = Judging()


def request_of(
    lake: str | None, sources: Sequence[str], reading: Reading, judging: Judging
) -> Request:
    """What a run is asked to do, from the verb's options."""
    from ..request import Request, default_lake

    return Request(
        lake=default_lake() if lake is None else lake,
        sources=tuple(sources),
        **vars(reading),
        **vars(judging),
    )


def open_lake(lake: str | None) -> Lake:
    """The lake of the option or the environment, which must be there."""
    from ...data.store.lake import Lake
    from ..request import default_lake

    return Lake(default_lake() if lake is None else lake, create=False)


def execute(request: Request, verb: str, *, server: bool | None, quiet: bool) -> Moderation:
    """Run the verb as a flow or as plain functions, with bars on a terminal."""
    from ..start import start

    return start(request, verb, server=server, quiet=quiet)


def execute_and_tell(
    request: Request, verb: str, *, server: bool | None, quiet: bool, as_json: bool
) -> None:
    """Run the verb and print what it came to, also where a gate refuses the result.

    Raises:
        TooManyRejected: After the summary is printed.
    """
    from ..result import TooManyRejected

    try:
        tell(execute(request, verb, server=server, quiet=quiet), as_json=as_json)
    except TooManyRejected as refused:
        tell(refused.result, as_json=as_json)
        raise


def tell(result: Moderation, *, as_json: bool) -> None:
    """What the run came to, for a person or a program."""
    print(json.dumps(result.to_json()) if as_json else result.summary())  # noqa: T201
