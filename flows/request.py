"""The settings of a run: the only place where one is declared.

The command's options, the Prefect form, the keywords of `assay.moderate`, the notebook's magic,
the `ASSAY_*` variables and `assay.toml` are all derived from these models, see `settings`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WrapValidator,
    field_validator,
    model_validator,
)

from ..data.images.inspect_image import ImageLimits
from ..data.machine import DEVICE_KINDS, n_cores, parse_device
from ..data.source_paths import absolute_source
from ..data.sources.find import SourceOptions
from ..data.text.redaction import redact_url
from ..data.text.unicode import is_valid
from ..data.user_paths import from_home
from ..tasks.command_line import run_again
from .blocks.names import is_block
from .fields.marks import Allowed, ByCaller, IsPlace, OptionName, kind_of, mark_of, option_of
from .fields.plain_values import plain_value
from .fields.refusals import refusal


def _of_any_bytes(given: Any, handler: Callable[[Any], str]) -> str:
    """Accept file names that are not UTF-8, which Python represents with surrogates."""
    if isinstance(given, str) and not is_valid(given):
        return given
    return handler(given)


# An unset shell variable gives an empty text, which must not mean the default.
Text = Annotated[str, StringConstraints(min_length=1), WrapValidator(_of_any_bytes)]
Texts = tuple[Text, ...]


def _is_device(name: str) -> str:
    parse_device(name)
    return name


Device = Annotated[
    str,
    AfterValidator(_is_device),
    Field(json_schema_extra={"pattern": f"^(auto|({'|'.join(DEVICE_KINDS)}|xla)(:[0-9]+)?)$"}),
]
_TAGS_FROM: Final = r"^(parent-folder|none|column:.+)$"
_BLOCK: Final = r"^[a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9-]*$"
_BLOCK_WORDS: Final = Allowed('"TYPE/NAME" of a block, such as "slack-webhook/oncall"')
_TAGS_WORDS: Final = Allowed('"parent-folder", "column:NAME", or "none" to withdraw earlier ones')


class _Settings(BaseModel):
    """Frozen settings by name; unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    @model_validator(mode="wrap")
    @classmethod
    def _in_words(cls, given: Any, handler: Callable[[Any], Self]) -> Self:
        try:
            return handler(given)
        except ValidationError as error:
            raise refusal(error, cls.model_fields) from error

    @field_validator("*", mode="before")
    @classmethod
    def _as_plain_value(cls, given: object, info: ValidationInfo) -> object:
        name = str(info.field_name)
        kind, or_none = kind_of(cls.model_fields[name])
        return plain_value(name, kind, given, or_none=or_none)


class RunSettings(_Settings):
    """Lake of a run, and where its tasks are done."""

    lake: Annotated[Text, IsPlace()] = Field(
        default="assay-lake",
        description="Folder of the lake, its s3://, gs:// or az:// prefix, "
        "or block:NAME of a Prefect server.",
    )
    n_workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        examples=[4],
        description="Number of threads that read, decode and, on a CPU, score "
        "[default: one per core].",
    )
    runner: Literal["threads", "ray", "dask"] = Field(
        default="threads",
        description="Engine of the tasks: threads of this process, or worker processes of a Ray or "
        "Dask cluster, each with n_workers threads.",
    )
    runner_address: Text | None = Field(
        default=None,
        examples=["ray://head:10001", "tcp://scheduler:8786"],
        description="Address of a running Ray or Dask cluster [default: one on this machine for "
        "this process].",
    )
    runner_workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        examples=[2],
        description="Number of worker processes of a cluster on this machine [default: one per "
        "core].",
    )
    tasks_in_flight: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        examples=[8],
        description="Largest number of tasks that a cluster has at once [default: two per worker].",
    )
    task_timeout_s: float | None = Field(
        default=None,
        gt=0,
        examples=[3600],
        description="Longest time of one task of a flow run, in seconds; a task that exceeds it is "
        "stopped and tried again [default: no limit].",
    )


class ReadingSettings(_Settings):
    """Options for sources: labels, domains, columns, filters, limits."""

    label_from: Annotated[Text | None, _TAGS_WORDS, ByCaller()] = Field(
        default=None,
        pattern=_TAGS_FROM,
        examples=["parent-folder"],
        description="Source of labels: parent-folder, column:NAME, or none, which withdraws the "
        "labels of earlier runs [default: a column or sidecar named label, if present].",
    )
    domain: Annotated[Text | None, ByCaller()] = Field(
        default=None,
        examples=["photo"],
        description="Domain of all items, which selects the policy's thresholds.",
    )
    domain_from: Annotated[Text | None, _TAGS_WORDS, ByCaller()] = Field(
        default=None,
        pattern=_TAGS_FROM,
        examples=["parent-folder"],
        description="Source of domains: parent-folder, column:NAME, or none, which withdraws the "
        "domains of earlier runs [default: a column or sidecar named domain, if present].",
    )
    image_column: Annotated[Text | None, ByCaller()] = Field(
        default=None,
        examples=["image"],
        description="Column of the bytes, paths or URLs [default: detected by name and type].",
    )
    include: Annotated[Texts, ByCaller()] = Field(
        default=(), description="Glob patterns; only items whose path matches one are read."
    )
    exclude: Annotated[Texts, ByCaller()] = Field(
        default=(), description="Glob patterns; items whose path matches one are skipped."
    )
    allow_private_urls: bool = Field(
        default=False, description="Access to URLs at loopback, link-local and private addresses."
    )
    roots: Annotated[Texts, IsPlace(), OptionName("--root")] = Field(
        default=(),
        description="Folders that must contain the files named in tables and lists "
        "[default: any folder].",
    )
    max_bytes: int = Field(
        default=ImageLimits().max_bytes, ge=1, description="Maximum size of an image, in bytes."
    )
    max_pixels: int = Field(
        default=ImageLimits().max_pixels,
        ge=1,
        description="Maximum size of an image, width times height in pixels.",
    )
    fail_on_rejected: float | None = Field(
        default=None,
        ge=0,
        le=1,
        examples=[0.5],
        description="Largest share of rejected items, from 0 to 1; a run that exceeds it exits "
        "with code 3 after all of its results are committed [default: no limit].",
    )


class NetworkSettings(_Settings):
    """Detector and its preprocessing."""

    detector: Annotated[Text, IsPlace(or_name=True)] = Field(
        default="community-forensics",
        description="Detector: a registered name, org/name@<40-hex revision>, or a local folder; "
        "mini is the embedded one.",
    )
    profile: Literal["authors-imagenet", "hf-clip"] | None = Field(
        default=None, description="Preprocessing profile [default: the detector's own]."
    )
    positive: Literal["fake", "real"] | None = Field(
        default=None,
        description="Class of a high logit of an unregistered checkpoint [default: as in its "
        "detector.toml].",
    )


class JudgingSettings(NetworkSettings):
    """Detector and policy."""

    policy: Annotated[Text | None, IsPlace()] = Field(
        default=None,
        examples=["policy.toml"],
        description="Policy file (TOML) with the thresholds [default: the packaged one].",
    )
    device: Device = Field(
        default="auto",
        description=f"Devices of the detector: auto or a type ({', '.join(DEVICE_KINDS)}), which "
        "is every device of the type, or one, such as cuda:1.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="Number format of the network; auto is fp32, int8 requires `assay models "
        "quantise`.",
    )
    backend: Literal["auto", "torch", "torch-compile", "openvino"] = Field(
        default="auto",
        description="Backend that runs the network; auto is the fastest on this machine whose "
        "scores match fp32 PyTorch.",
    )
    force_drift: bool = Field(
        default=False,
        description="Permission to use a backend whose drift exceeds its limit.",
    )
    views: Annotated[Literal["centre", "tiles", "adaptive"], ByCaller()] = Field(
        default="centre",
        description="Scored region: centre; tiles, which adds tiles of the whole image; or "
        "adaptive, which adds them if the centre is uncertain.",
    )
    delivery: Annotated[Literal["off", "flags", "band"], ByCaller()] = Field(
        default="off",
        description="Images scored again as they are delivered, saved as JPEG 50 and at half size "
        "as JPEG 85: off; flags, which sends to review what would not be flagged then; or band, "
        "which adds the images in the review band.",
    )
    flagged_limit: float | None = Field(
        default=None,
        ge=0,
        le=1,
        examples=[0.2],
        description="Largest expected share of flagged images, from 0 to 1; a run that exceeds it "
        "warns, and on a Prefect server emits the event assay.images.flagged [default: no limit].",
    )
    drift_limit: float | None = Field(
        default=None,
        ge=0,
        le=1,
        examples=[0.1],
        description="Largest expected distance, from 0 to 1, of the images that a run scores from "
        "earlier ones of the same sources: scores, embeddings, sizes, formats, compression; a run "
        "that exceeds it warns, and on a Prefect server emits the event assay.drift.found "
        "[default: not compared].",
    )
    notify: Annotated[Text | None, _BLOCK_WORDS] = Field(
        default=None,
        pattern=_BLOCK,
        examples=["slack-webhook/oncall"],
        description="Notification block of the Prefect server, TYPE/NAME, to which a run sends a "
        "message if it exceeds a limit [default: none].",
    )


class AugmentSettings(JudgingSettings, RunSettings):
    """Settings of `assay synth augment`, whose images come from a plan instead of sources."""


class Request(ReadingSettings, JudgingSettings, RunSettings):
    """All settings of a run: sources, lake, detector and policy.

    Fields hold plain values only, so that a request is sent to a worker as JSON. A path is
    accepted for any text, and a single text for a tuple.

    Raises:
        ConfigError: A setting does not exist, a value is not allowed, or a required text is empty.
        TypeError: A value has another type; the message names the allowed ones.
    """

    sources: Annotated[Texts, IsPlace(), ByCaller()] = Field(
        default=(),
        description="Files, folders, globs, archives, tables or URLs; without sources, the whole "
        "lake is scored.",
    )

    @property
    def limits(self) -> ImageLimits:
        """Limits on the size of an image."""
        return ImageLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)

    @property
    def source_options(self) -> SourceOptions:
        """Options for reading the sources."""
        return SourceOptions(
            include=self.include,
            exclude=self.exclude,
            label_from=self.label_from,
            domain=self.domain,
            domain_from=self.domain_from,
            image_column=self.image_column,
            allow_private_urls=self.allow_private_urls,
            roots=self.roots,
            limits=self.limits,
        )

    @property
    def policy_path(self) -> Path | None:
        """Path of the policy file, or None for the packaged one."""
        return Path(self.policy) if self.policy else None

    @property
    def workers(self) -> int:
        """Number of threads that read and decode; by default the number of available cores."""
        return self.n_workers or n_cores()

    def changed(self, **changes: Any) -> Request:
        """Return a copy with other values for some settings."""
        return Request(**self.settings() | changes)

    def absolute(self) -> Request:
        """Return a copy with absolute paths."""
        return Request(**absolute(self.settings()))

    def params(self) -> dict[str, Any]:
        """Return the request as JSON-ready values without secrets, for records."""
        return self.settings() | {"sources": tuple(redact_url(source) for source in self.sources)}

    def settings(self) -> dict[str, Any]:
        """Return the request as JSON-ready values that reproduce it."""
        return self.model_dump()

    def command(self, verb: str, *, lake: str) -> str | None:
        """Return the command that repeats the request; see `command_line.run_again`."""
        fields = Request.model_fields
        return run_again(
            verb,
            self.absolute().settings(),
            defaults={
                name: field.default
                for name, field in fields.items()
                if name not in {"lake", "sources"}
            },
            options={name: option_of(name, field) for name, field in fields.items()},
            lake=lake,
        )

    def config_sha256(self) -> str:
        """Return the SHA-256 of all recorded settings; equal requests have equal hashes."""
        return hashlib.sha256(json.dumps(self.params(), sort_keys=True).encode()).hexdigest()


def absolute(values: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Return settings with absolute paths.

    Args:
        values: Settings by name.
        folder: Folder of relative paths [default: the working folder].
    """
    base = folder or Path.cwd()

    def place(text: str, mark: IsPlace) -> str:
        if mark.or_name and not (base / from_home(text)).is_dir():
            return text
        return (
            text
            if "://" in text or is_block(text)
            else absolute_source(str(base / from_home(text)))
        )

    def moved(name: str, value: Any) -> Any:
        mark = mark_of(Request.model_fields[name], IsPlace)
        if mark is None or value is None:
            return value
        if isinstance(value, str):
            return place(value, mark)
        return tuple(place(one, mark) for one in value)

    return {name: moved(name, value) for name, value in values.items()}
