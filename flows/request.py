"""What a run was asked to do: one frozen value, made by the command, a flow or a cell."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.errors import ConfigError
from ..data.images.inspect_image import ImageLimits
from ..data.machine import n_cores
from ..data.sources.find import SourceOptions
from ..data.text.redaction import redact_url
from ..tasks.command_line import run_again
from .plain_values import plain_value

DEFAULT_LAKE = "assay-lake"
DEFAULT_DETECTOR = "community-forensics"


def default_lake() -> str:
    """The lake of `ASSAY_LAKE`, else the folder `assay-lake` where the command was started."""
    return os.environ.get("ASSAY_LAKE") or DEFAULT_LAKE


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Everything that decides what a run reads, which detector scores it and how it is judged.

    Fields hold plain values only, so that a request travels to a worker as JSON.
    `max_bytes` is per picture, `max_pixels` is width times height. Paths are taken wherever text
    is, and one pattern for a tuple of one.

    Raises:
        ConfigError: A number out of its range, or an empty text where something is named.
        TypeError: A field has a value of another type; the message names what is allowed.
    """

    lake: str
    sources: tuple[str, ...] = ()
    detector: str = DEFAULT_DETECTOR
    profile: str | None = None
    positive: str | None = None
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    force_drift: bool = False
    views: str = "centre"
    policy: str | None = None
    label_from: str | None = None
    domain: str | None = None
    domain_from: str | None = None
    image_column: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    allow_private_urls: bool = False
    roots: tuple[str, ...] = ()
    max_bytes: int = ImageLimits().max_bytes
    max_pixels: int = ImageLimits().max_pixels
    n_workers: int | None = None
    fail_on_rejected: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            given = getattr(self, field.name)
            object.__setattr__(self, field.name, plain_value(field.name, str(field.type), given))
        share = self.fail_on_rejected
        if share is not None and not 0 <= share <= 1:
            raise ConfigError(f"fail_on_rejected is {share}; allowed: a share from 0 to 1")
        for name in ("max_bytes", "max_pixels", "n_workers"):
            if (n := getattr(self, name)) is not None and n < 1:
                raise ConfigError(f"{name} is {n}; allowed: 1 or more")
        for name in ("lake", "policy", "detector", "roots", "sources"):
            # A variable of a shell that is not set; the default would be something else.
            given = getattr(self, name)
            if given == "" or (isinstance(given, tuple) and "" in given):
                raise ConfigError(f"{name} is empty; give a value, or leave it out")

    @property
    def limits(self) -> ImageLimits:
        """What a picture may cost before it is refused."""
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

    def params(self) -> dict[str, Any]:
        """Return the request as JSON-ready values without secrets, as it may be written down."""
        return self.settings() | {"sources": tuple(redact_url(source) for source in self.sources)}

    def settings(self) -> dict[str, Any]:
        """Return the request as JSON-ready values that make the same request again."""
        return dataclasses.asdict(self)

    def command(self, verb: str, *, lake: str) -> str | None:
        """Return the command that asks for the same again; see `command_line.run_again`."""
        defaults = {
            field.name: field.default
            for field in dataclasses.fields(self)
            # No option of the command.
            if field.name not in {"lake", "sources", "n_workers"}
        }
        return run_again(verb, self.settings(), defaults=defaults, lake=lake)

    def config_sha256(self) -> str:
        """Hash of every setting as written down: two runs with the same one were asked the same."""
        return hashlib.sha256(json.dumps(self.params(), sort_keys=True).encode()).hexdigest()
