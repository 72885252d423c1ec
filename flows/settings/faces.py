"""Settings as types, for the command and for type checkers.

Written from the models of `flows.request` by `assay.flows.settings.faces_file`: change them there.
"""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Annotated, Literal, TypedDict

from cyclopts import Parameter

from .option_values import whole_number

Text = str | PathLike[str]


class RunOptions(TypedDict, total=False):
    """Where the rows live, and how many threads work."""

    lake: Annotated[
        str,
        Parameter(
            help="Folder of the lake, or its s3://, gs:// or az:// prefix [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
        ),
    ]
    n_workers: Annotated[
        int,
        Parameter(
            help="Threads that read, decode and, on a CPU, score [default: one per core].",
            converter=whole_number,
        ),
    ]


class ReadingOptions(TypedDict, total=False):
    """How sources are walked and read."""

    label_from: Annotated[
        str,
        Parameter(
            help="Where labels come from: parent-folder, column:NAME, or none to withdraw the labels that earlier runs gave [default: a column or sidecar named label, if there is one]."
        ),
    ]
    domain: Annotated[str, Parameter(help="Domain of every item, for the policy's thresholds.")]
    domain_from: Annotated[
        str,
        Parameter(
            help="Where domains come from: parent-folder, column:NAME, or none to withdraw the domains that earlier runs gave [default: a column or sidecar named domain, if there is one]."
        ),
    ]
    image_column: Annotated[
        str,
        Parameter(
            help="Column that holds the bytes, paths or URLs [default: found by name and type]."
        ),
    ]
    include: Annotated[
        tuple[str, ...], Parameter(help="Patterns; only items whose path matches one are read.")
    ]
    exclude: Annotated[
        tuple[str, ...], Parameter(help="Patterns; items whose path matches one are left out.")
    ]
    allow_private_urls: Annotated[
        bool, Parameter(help="Fetch from loopback, link-local and private addresses too.")
    ]
    roots: Annotated[
        tuple[str, ...],
        Parameter(
            name="--root",
            help="Folders; paths that tables and lists name must lie below one of them [default: anywhere].",
        ),
    ]
    max_bytes: Annotated[
        int,
        Parameter(
            help="Largest image accepted, in bytes [default: 67108864].", converter=whole_number
        ),
    ]
    max_pixels: Annotated[
        int,
        Parameter(
            help="Largest image accepted, width times height in pixels [default: 100000000].",
            converter=whole_number,
        ),
    ]
    fail_on_rejected: Annotated[
        float,
        Parameter(
            help="Fail with exit code 6, after the whole run, if a larger share of the items was rejected: 0 for any, 0.5 for more than half [default: never]."
        ),
    ]


class NetworkOptions(TypedDict, total=False):
    """Which network looks at images, and how they are prepared for it."""

    detector: Annotated[
        str,
        Parameter(
            help="Registered name, org/name@<40-hex revision>, or a local folder; mini is the embedded one [default: community-forensics]."
        ),
    ]
    profile: Annotated[
        Literal["authors-imagenet", "hf-clip"],
        Parameter(help="Preprocessing [default: the detector's own]."),
    ]
    positive: Annotated[
        Literal["fake", "real"],
        Parameter(
            help="What a high logit of an unregistered checkpoint means [default: what its detector.toml says]."
        ),
    ]


class JudgingOptions(NetworkOptions, total=False):
    """Which detector scores and which policy decides."""

    policy: Annotated[
        str,
        Parameter(help="Policy file with the thresholds, a TOML file [default: the packaged one]."),
    ]
    device: Annotated[
        str,
        Parameter(
            help="Device of the detector: auto, cuda, mps, xpu, tpu, cpu, or a kind and a number such as cuda:1 [default: auto]."
        ),
    ]
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16", "int8"],
        Parameter(
            help="Number format of the network; auto is fp32, int8 needs `assay models quantise` first [default: auto]."
        ),
    ]
    backend: Annotated[
        Literal["auto", "torch", "torch-compile", "openvino"],
        Parameter(
            help="What runs the network; auto is the fastest one here with fp32 PyTorch's scores [default: auto]."
        ),
    ]
    force_drift: Annotated[
        bool, Parameter(help="Use a backend even where it moves scores further than it may.")
    ]
    views: Annotated[
        Literal["centre", "tiles", "adaptive"],
        Parameter(
            help="What is scored: the centre; the whole image in tiles too; or tiles where the centre is uncertain [default: centre]."
        ),
    ]


class Keywords(TypedDict, total=False):
    """Keywords of `assay.moderate`; each may be left out."""

    lake: Text | None
    "Folder of the lake, or its s3://, gs:// or az:// prefix [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
    n_workers: int | None
    "Threads that read, decode and, on a CPU, score [default: one per core]."
    detector: Text
    "Registered name, org/name@<40-hex revision>, or a local folder; mini is the embedded one [default: community-forensics]."
    profile: Literal["authors-imagenet", "hf-clip"] | None
    "Preprocessing [default: the detector's own]."
    positive: Literal["fake", "real"] | None
    "What a high logit of an unregistered checkpoint means [default: what its detector.toml says]."
    policy: Text | None
    "Policy file with the thresholds, a TOML file [default: the packaged one]."
    device: Text
    "Device of the detector: auto, cuda, mps, xpu, tpu, cpu, or a kind and a number such as cuda:1 [default: auto]."
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"]
    "Number format of the network; auto is fp32, int8 needs `assay models quantise` first [default: auto]."
    backend: Literal["auto", "torch", "torch-compile", "openvino"]
    "What runs the network; auto is the fastest one here with fp32 PyTorch's scores [default: auto]."
    force_drift: bool
    "Use a backend even where it moves scores further than it may."
    views: Literal["centre", "tiles", "adaptive"]
    "What is scored: the centre; the whole image in tiles too; or tiles where the centre is uncertain [default: centre]."
    label_from: Text | None
    "Where labels come from: parent-folder, column:NAME, or none to withdraw the labels that earlier runs gave [default: a column or sidecar named label, if there is one]."
    domain: Text | None
    "Domain of every item, for the policy's thresholds."
    domain_from: Text | None
    "Where domains come from: parent-folder, column:NAME, or none to withdraw the domains that earlier runs gave [default: a column or sidecar named domain, if there is one]."
    image_column: Text | None
    "Column that holds the bytes, paths or URLs [default: found by name and type]."
    include: Text | Sequence[Text]
    "Patterns; only items whose path matches one are read."
    exclude: Text | Sequence[Text]
    "Patterns; items whose path matches one are left out."
    allow_private_urls: bool
    "Fetch from loopback, link-local and private addresses too."
    roots: Text | Sequence[Text]
    "Folders; paths that tables and lists name must lie below one of them [default: anywhere]."
    max_bytes: int
    "Largest image accepted, in bytes [default: 67108864]."
    max_pixels: int
    "Largest image accepted, width times height in pixels [default: 100000000]."
    fail_on_rejected: float | None
    "Fail with exit code 6, after the whole run, if a larger share of the items was rejected: 0 for any, 0.5 for more than half [default: never]."


LAKE_HELP = "Folder of the lake, or its s3://, gs:// or az:// prefix [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
