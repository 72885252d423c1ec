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
from .fields.marks import Allowed, ByCaller, IsPlace, OptionName, kind_of, mark_of, option_of
from .fields.plain_values import plain_value
from .fields.refusals import refusal


def _of_any_bytes(given: Any, handler: Callable[[Any], str]) -> str:
    """Take names of files that are not UTF-8, which Python holds as surrogates, for text too."""
    if isinstance(given, str) and not is_valid(given):
        return given
    return handler(given)


# A variable of a shell that is not set gives an empty text; the default would be something else.
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
_TAGS_WORDS: Final = Allowed('"parent-folder", "column:NAME", or "none" to withdraw earlier ones')


class _Settings(BaseModel):
    """Settings by name, frozen; nothing else is taken beside them."""

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
    """Where the rows live, and how many threads work."""

    lake: Annotated[Text, IsPlace()] = Field(
        default="assay-lake", description="Folder of the lake, or its s3://, gs:// or az:// prefix."
    )
    n_workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        examples=[4],
        description="Threads that read, decode and, on a CPU, score [default: one per core].",
    )


class ReadingSettings(_Settings):
    """How sources are walked and read."""

    label_from: Annotated[Text | None, _TAGS_WORDS, ByCaller()] = Field(
        default=None,
        pattern=_TAGS_FROM,
        examples=["parent-folder"],
        description="Where labels come from: parent-folder, column:NAME, or none to withdraw the "
        "labels that earlier runs gave [default: a column or sidecar named label, if there is "
        "one].",
    )
    domain: Annotated[Text | None, ByCaller()] = Field(
        default=None,
        examples=["photo"],
        description="Domain of every item, for the policy's thresholds.",
    )
    domain_from: Annotated[Text | None, _TAGS_WORDS, ByCaller()] = Field(
        default=None,
        pattern=_TAGS_FROM,
        examples=["parent-folder"],
        description="Where domains come from: parent-folder, column:NAME, or none to withdraw the "
        "domains that earlier runs gave [default: a column or sidecar named domain, if there is "
        "one].",
    )
    image_column: Annotated[Text | None, ByCaller()] = Field(
        default=None,
        examples=["image"],
        description="Column that holds the bytes, paths or URLs [default: found by name and type].",
    )
    include: Annotated[Texts, ByCaller()] = Field(
        default=(), description="Patterns; only items whose path matches one are read."
    )
    exclude: Annotated[Texts, ByCaller()] = Field(
        default=(), description="Patterns; items whose path matches one are left out."
    )
    allow_private_urls: bool = Field(
        default=False, description="Fetch from loopback, link-local and private addresses too."
    )
    roots: Annotated[Texts, IsPlace(), OptionName("--root")] = Field(
        default=(),
        description="Folders; paths that tables and lists name must lie below one of them "
        "[default: anywhere].",
    )
    max_bytes: int = Field(
        default=ImageLimits().max_bytes, ge=1, description="Largest image accepted, in bytes."
    )
    max_pixels: int = Field(
        default=ImageLimits().max_pixels,
        ge=1,
        description="Largest image accepted, width times height in pixels.",
    )
    fail_on_rejected: float | None = Field(
        default=None,
        ge=0,
        le=1,
        examples=[0.5],
        description="Fail with exit code 6, after the whole run, if a larger share of the items "
        "was rejected: 0 for any, 0.5 for more than half [default: never].",
    )


class NetworkSettings(_Settings):
    """Which network looks at images, and how they are prepared for it."""

    detector: Annotated[Text, IsPlace(or_name=True)] = Field(
        default="community-forensics",
        description="Registered name, org/name@<40-hex revision>, or a local folder; mini is the "
        "embedded one.",
    )
    profile: Literal["authors-imagenet", "hf-clip"] | None = Field(
        default=None, description="Preprocessing [default: the detector's own]."
    )
    positive: Literal["fake", "real"] | None = Field(
        default=None,
        description="What a high logit of an unregistered checkpoint means [default: what its "
        "detector.toml says].",
    )


class JudgingSettings(NetworkSettings):
    """Which detector scores and which policy decides."""

    policy: Annotated[Text | None, IsPlace()] = Field(
        default=None,
        examples=["policy.toml"],
        description="Policy file with the thresholds, a TOML file [default: the packaged one].",
    )
    device: Device = Field(
        default="auto",
        description=f"Device of the detector: auto, {', '.join(DEVICE_KINDS)}, or a kind and a "
        "number such as cuda:1.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="Number format of the network; auto is fp32, int8 needs `assay models "
        "quantise` first.",
    )
    backend: Literal["auto", "torch", "torch-compile", "openvino"] = Field(
        default="auto",
        description="What runs the network; auto is the fastest one here with fp32 PyTorch's "
        "scores.",
    )
    force_drift: bool = Field(
        default=False,
        description="Use a backend even where it moves scores further than it may.",
    )
    views: Annotated[Literal["centre", "tiles", "adaptive"], ByCaller()] = Field(
        default="centre",
        description="What is scored: the centre; the whole image in tiles too; or tiles where "
        "the centre is uncertain.",
    )


class AugmentSettings(JudgingSettings, RunSettings):
    """What `assay synth augment` takes: its images come from a plan, not from sources."""


class Request(ReadingSettings, JudgingSettings, RunSettings):
    """Everything that decides what a run reads, which detector scores it and how it is judged.

    Fields hold plain values only, so that a request travels to a worker as JSON. Paths are taken
    wherever text is, and one text for a tuple of one.

    Raises:
        ConfigError: A setting that does not exist, a value that is not allowed, or an empty text
            where something is named.
        TypeError: A value of another type; the message names what is allowed.
    """

    sources: Annotated[Texts, IsPlace(), ByCaller()] = Field(
        default=(),
        description="Files, folders, globs, archives, tables or URLs; none scores the whole lake.",
    )

    @property
    def limits(self) -> ImageLimits:
        """What an image may cost before it is refused."""
        return ImageLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)

    @property
    def source_options(self) -> SourceOptions:
        """How the sources are walked and read."""
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
        """The policy file, or None for the packaged one."""
        return Path(self.policy) if self.policy else None

    @property
    def workers(self) -> int:
        """Threads that read and decode: as many as this process may use cores."""
        return self.n_workers or n_cores()

    def changed(self, **changes: Any) -> Request:
        """Return a request with other values for some settings."""
        return Request(**self.settings() | changes)

    def absolute(self) -> Request:
        """Return a request whose paths mean the same from every folder."""
        return Request(**absolute(self.settings()))

    def params(self) -> dict[str, Any]:
        """Return the request as JSON-ready values without secrets, as it may be written down."""
        return self.settings() | {"sources": tuple(redact_url(source) for source in self.sources)}

    def settings(self) -> dict[str, Any]:
        """Return the request as JSON-ready values that make the same request again."""
        return self.model_dump()

    def command(self, verb: str, *, lake: str) -> str | None:
        """Return the command that asks for the same again; see `command_line.run_again`."""
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
        """Return the hash of every setting as written down: equal where the same was asked."""
        return hashlib.sha256(json.dumps(self.params(), sort_keys=True).encode()).hexdigest()


def absolute(values: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Return settings whose files and folders are named from any folder.

    Args:
        values: Settings by name.
        folder: Folder that relative paths start from; the working folder by default.
    """
    base = folder or Path.cwd()

    def place(text: str, mark: IsPlace) -> str:
        if mark.or_name and not (base / from_home(text)).is_dir():
            return text
        return text if "://" in text else absolute_source(str(base / from_home(text)))

    def moved(name: str, value: Any) -> Any:
        mark = mark_of(Request.model_fields[name], IsPlace)
        if mark is None or value is None:
            return value
        if isinstance(value, str):
            return place(value, mark)
        return tuple(place(one, mark) for one in value)

    return {name: moved(name, value) for name, value in values.items()}
