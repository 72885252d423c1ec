"""Settings as types, for the command and for type checkers.

Generated from the models of `flows.request` by `assay.flows.settings.faces_file`; edit those.
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
    """Lake of a run, and where its tasks are done."""

    lake: Annotated[
        str,
        Parameter(
            help="Folder of the lake, its s3://, gs:// or az:// prefix, or block:NAME of a Prefect server [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
        ),
    ]
    n_workers: Annotated[
        int,
        Parameter(
            help="Number of threads that read, decode and, on a CPU, score [default: one per core].",
            converter=whole_number,
        ),
    ]
    runner: Annotated[
        Literal["threads", "ray", "dask"],
        Parameter(
            help="Engine of the tasks: threads of this process, or worker processes of a Ray or Dask cluster, each with n_workers threads [default: threads]."
        ),
    ]
    runner_address: Annotated[
        str,
        Parameter(
            help="Address of a running Ray or Dask cluster [default: one on this machine for this process]."
        ),
    ]
    runner_workers: Annotated[
        int,
        Parameter(
            help="Number of worker processes of a cluster on this machine [default: one per core].",
            converter=whole_number,
        ),
    ]
    tasks_in_flight: Annotated[
        int,
        Parameter(
            help="Largest number of tasks that a cluster has at once [default: two per worker].",
            converter=whole_number,
        ),
    ]
    task_timeout_s: Annotated[
        float,
        Parameter(
            help="Longest time of one task of a flow run, in seconds; a task that exceeds it is stopped and tried again [default: no limit]."
        ),
    ]


class ReadingOptions(TypedDict, total=False):
    """Options for sources: labels, domains, columns, filters, limits."""

    label_from: Annotated[
        str,
        Parameter(
            help="Source of labels: parent-folder, column:NAME, or none, which withdraws the labels of earlier runs [default: a column or sidecar named label, if present]."
        ),
    ]
    domain: Annotated[
        str, Parameter(help="Domain of all items, which selects the policy's thresholds.")
    ]
    domain_from: Annotated[
        str,
        Parameter(
            help="Source of domains: parent-folder, column:NAME, or none, which withdraws the domains of earlier runs [default: a column or sidecar named domain, if present]."
        ),
    ]
    image_column: Annotated[
        str,
        Parameter(help="Column of the bytes, paths or URLs [default: detected by name and type]."),
    ]
    include: Annotated[
        tuple[str, ...],
        Parameter(help="Glob patterns; only items whose path matches one are read."),
    ]
    exclude: Annotated[
        tuple[str, ...], Parameter(help="Glob patterns; items whose path matches one are skipped.")
    ]
    allow_private_urls: Annotated[
        bool, Parameter(help="Access to URLs at loopback, link-local and private addresses.")
    ]
    roots: Annotated[
        tuple[str, ...],
        Parameter(
            name="--root",
            help="Folders that must contain the files named in tables and lists [default: any folder].",
        ),
    ]
    max_bytes: Annotated[
        int,
        Parameter(
            help="Maximum size of an image, in bytes [default: 67108864].", converter=whole_number
        ),
    ]
    max_pixels: Annotated[
        int,
        Parameter(
            help="Maximum size of an image, width times height in pixels [default: 100000000].",
            converter=whole_number,
        ),
    ]
    fail_on_rejected: Annotated[
        float,
        Parameter(
            help="Largest share of rejected items, from 0 to 1; a run that exceeds it exits with code 3 after all of its results are committed [default: no limit]."
        ),
    ]


class NetworkOptions(TypedDict, total=False):
    """Detector and its preprocessing."""

    detector: Annotated[
        str,
        Parameter(
            help="Detector: a registered name, org/name@<40-hex revision>, or a local folder; mini is the embedded one [default: community-forensics]."
        ),
    ]
    profile: Annotated[
        Literal["authors-imagenet", "hf-clip"],
        Parameter(help="Preprocessing profile [default: the detector's own]."),
    ]
    positive: Annotated[
        Literal["fake", "real"],
        Parameter(
            help="Class of a high logit of an unregistered checkpoint [default: as in its detector.toml]."
        ),
    ]


class JudgingOptions(NetworkOptions, total=False):
    """Detector and policy."""

    policy: Annotated[
        str, Parameter(help="Policy file (TOML) with the thresholds [default: the packaged one].")
    ]
    device: Annotated[
        str,
        Parameter(
            help="Devices of the detector: auto or a type (cuda, mps, xpu, tpu, cpu), which is every device of the type, or one, such as cuda:1 [default: auto]."
        ),
    ]
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16", "int8"],
        Parameter(
            help="Number format of the network; auto is fp32, int8 requires `assay models quantise` [default: auto]."
        ),
    ]
    backend: Annotated[
        Literal["auto", "torch", "torch-compile", "openvino"],
        Parameter(
            help="Backend that runs the network; auto is the fastest on this machine whose scores match fp32 PyTorch [default: auto]."
        ),
    ]
    force_drift: Annotated[
        bool, Parameter(help="Permission to use a backend whose drift exceeds its limit.")
    ]
    views: Annotated[
        Literal["centre", "tiles", "adaptive"],
        Parameter(
            help="Scored region: centre; tiles, which adds tiles of the whole image; or adaptive, which adds them if the centre is uncertain [default: centre]."
        ),
    ]
    delivery: Annotated[
        Literal["off", "flags", "band"],
        Parameter(
            help="Images scored again as they are delivered, saved as JPEG 50 and at half size as JPEG 85: off; flags, which sends to review what would not be flagged then; or band, which adds the images in the review band [default: off]."
        ),
    ]
    flagged_limit: Annotated[
        float,
        Parameter(
            help="Largest expected share of flagged images, from 0 to 1; a run that exceeds it warns, and on a Prefect server emits the event assay.images.flagged [default: no limit]."
        ),
    ]
    drift_limit: Annotated[
        float,
        Parameter(
            help="Largest expected distance, from 0 to 1, of the images that a run scores from earlier ones of the same sources: scores, embeddings, sizes, formats, compression; a run that exceeds it warns, and on a Prefect server emits the event assay.drift.found [default: not compared]."
        ),
    ]
    notify: Annotated[
        str,
        Parameter(
            help="Notification block of the Prefect server, TYPE/NAME, to which a run sends a message if it exceeds a limit [default: none]."
        ),
    ]


class RunKeywords(TypedDict, total=False):
    """Lake and threads."""

    lake: Text | None
    "Folder of the lake, its s3://, gs:// or az:// prefix, or block:NAME of a Prefect server [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
    n_workers: int | None
    "Number of threads that read, decode and, on a CPU, score [default: one per core]."
    runner: Literal["threads", "ray", "dask"]
    "Engine of the tasks: threads of this process, or worker processes of a Ray or Dask cluster, each with n_workers threads [default: threads]."
    runner_address: Text | None
    "Address of a running Ray or Dask cluster [default: one on this machine for this process]."
    runner_workers: int | None
    "Number of worker processes of a cluster on this machine [default: one per core]."
    tasks_in_flight: int | None
    "Largest number of tasks that a cluster has at once [default: two per worker]."
    task_timeout_s: float | None
    "Longest time of one task of a flow run, in seconds; a task that exceeds it is stopped and tried again [default: no limit]."


class JudgingKeywords(TypedDict, total=False):
    """Detector and policy."""

    detector: Text
    "Detector: a registered name, org/name@<40-hex revision>, or a local folder; mini is the embedded one [default: community-forensics]."
    profile: Literal["authors-imagenet", "hf-clip"] | None
    "Preprocessing profile [default: the detector's own]."
    positive: Literal["fake", "real"] | None
    "Class of a high logit of an unregistered checkpoint [default: as in its detector.toml]."
    policy: Text | None
    "Policy file (TOML) with the thresholds [default: the packaged one]."
    device: Text
    "Devices of the detector: auto or a type (cuda, mps, xpu, tpu, cpu), which is every device of the type, or one, such as cuda:1 [default: auto]."
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"]
    "Number format of the network; auto is fp32, int8 requires `assay models quantise` [default: auto]."
    backend: Literal["auto", "torch", "torch-compile", "openvino"]
    "Backend that runs the network; auto is the fastest on this machine whose scores match fp32 PyTorch [default: auto]."
    force_drift: bool
    "Permission to use a backend whose drift exceeds its limit."
    views: Literal["centre", "tiles", "adaptive"]
    "Scored region: centre; tiles, which adds tiles of the whole image; or adaptive, which adds them if the centre is uncertain [default: centre]."
    delivery: Literal["off", "flags", "band"]
    "Images scored again as they are delivered, saved as JPEG 50 and at half size as JPEG 85: off; flags, which sends to review what would not be flagged then; or band, which adds the images in the review band [default: off]."


class LimitKeywords(TypedDict, total=False):
    """Limits of a run, and notifications."""

    flagged_limit: float | None
    "Largest expected share of flagged images, from 0 to 1; a run that exceeds it warns, and on a Prefect server emits the event assay.images.flagged [default: no limit]."
    drift_limit: float | None
    "Largest expected distance, from 0 to 1, of the images that a run scores from earlier ones of the same sources: scores, embeddings, sizes, formats, compression; a run that exceeds it warns, and on a Prefect server emits the event assay.drift.found [default: not compared]."
    notify: Text | None
    "Notification block of the Prefect server, TYPE/NAME, to which a run sends a message if it exceeds a limit [default: none]."


class ReadingKeywords(TypedDict, total=False):
    """Options for sources."""

    label_from: Text | None
    "Source of labels: parent-folder, column:NAME, or none, which withdraws the labels of earlier runs [default: a column or sidecar named label, if present]."
    domain: Text | None
    "Domain of all items, which selects the policy's thresholds."
    domain_from: Text | None
    "Source of domains: parent-folder, column:NAME, or none, which withdraws the domains of earlier runs [default: a column or sidecar named domain, if present]."
    image_column: Text | None
    "Column of the bytes, paths or URLs [default: detected by name and type]."
    include: Text | Sequence[Text]
    "Glob patterns; only items whose path matches one are read."
    exclude: Text | Sequence[Text]
    "Glob patterns; items whose path matches one are skipped."
    allow_private_urls: bool
    "Access to URLs at loopback, link-local and private addresses."
    roots: Text | Sequence[Text]
    "Folders that must contain the files named in tables and lists [default: any folder]."
    max_bytes: int
    "Maximum size of an image, in bytes [default: 67108864]."
    max_pixels: int
    "Maximum size of an image, width times height in pixels [default: 100000000]."
    fail_on_rejected: float | None
    "Largest share of rejected items, from 0 to 1; a run that exceeds it exits with code 3 after all of its results are committed [default: no limit]."


class DetectorKeywords(TypedDict, total=False):
    """Keywords of `assay.Detector`; all are optional."""

    profile: Literal["authors-imagenet", "hf-clip"] | None
    "Preprocessing profile [default: the detector's own]."
    positive: Literal["fake", "real"] | None
    "Class of a high logit of an unregistered checkpoint [default: as in its detector.toml]."
    device: Text
    "Devices of the detector: auto or a type (cuda, mps, xpu, tpu, cpu), which is every device of the type, or one, such as cuda:1 [default: auto]."
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"]
    "Number format of the network; auto is fp32, int8 requires `assay models quantise` [default: auto]."
    backend: Literal["auto", "torch", "torch-compile", "openvino"]
    "Backend that runs the network; auto is the fastest on this machine whose scores match fp32 PyTorch [default: auto]."
    force_drift: bool
    "Permission to use a backend whose drift exceeds its limit."
    n_workers: int | None
    "Number of threads that read, decode and, on a CPU, score [default: one per core]."
    image_column: Text | None
    "Column of the bytes, paths or URLs [default: detected by name and type]."
    allow_private_urls: bool
    "Access to URLs at loopback, link-local and private addresses."
    roots: Text | Sequence[Text]
    "Folders that must contain the files named in tables and lists [default: any folder]."
    max_bytes: int
    "Maximum size of an image, in bytes [default: 67108864]."
    max_pixels: int
    "Maximum size of an image, width times height in pixels [default: 100000000]."


class ScoreImagesKeywords(TypedDict, total=False):
    """Keywords of `assay.score`; all are optional."""

    detector: Text
    "Detector: a registered name, org/name@<40-hex revision>, or a local folder; mini is the embedded one [default: community-forensics]."
    profile: Literal["authors-imagenet", "hf-clip"] | None
    "Preprocessing profile [default: the detector's own]."
    positive: Literal["fake", "real"] | None
    "Class of a high logit of an unregistered checkpoint [default: as in its detector.toml]."
    device: Text
    "Devices of the detector: auto or a type (cuda, mps, xpu, tpu, cpu), which is every device of the type, or one, such as cuda:1 [default: auto]."
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"]
    "Number format of the network; auto is fp32, int8 requires `assay models quantise` [default: auto]."
    backend: Literal["auto", "torch", "torch-compile", "openvino"]
    "Backend that runs the network; auto is the fastest on this machine whose scores match fp32 PyTorch [default: auto]."
    force_drift: bool
    "Permission to use a backend whose drift exceeds its limit."
    n_workers: int | None
    "Number of threads that read, decode and, on a CPU, score [default: one per core]."
    image_column: Text | None
    "Column of the bytes, paths or URLs [default: detected by name and type]."
    allow_private_urls: bool
    "Access to URLs at loopback, link-local and private addresses."
    roots: Text | Sequence[Text]
    "Folders that must contain the files named in tables and lists [default: any folder]."
    max_bytes: int
    "Maximum size of an image, in bytes [default: 67108864]."
    max_pixels: int
    "Maximum size of an image, width times height in pixels [default: 100000000]."


class Keywords(RunKeywords, JudgingKeywords, LimitKeywords, ReadingKeywords, total=False):
    """Keywords of `assay.moderate`; all are optional."""


class IngestKeywords(RunKeywords, ReadingKeywords, total=False):
    """Keywords of `ingest` as a step; all are optional."""


class ScoreKeywords(RunKeywords, JudgingKeywords, total=False):
    """Keywords of `score` and `augment` as steps; all are optional."""


LAKE_HELP = "Folder of the lake, its s3://, gs:// or az:// prefix, or block:NAME of a Prefect server [default: $ASSAY_LAKE, assay.toml, or ./assay-lake]."
