"""The protocol of synthesis methods: settings, models to load, and making an image.

A method is one file: the built-in ones are in this folder, and an installed package adds one by an
entry point in the group `assay.methods`. All models come from `Tools`, so that a method depends on
no checkpoint and no detector.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel

from ...data.vocabulary import Label
from ..job import Job
from .fields import Role, defaults_of, fields_of, in_table

if TYPE_CHECKING:
    from ..attacks.pixel import Logits
    from ..autoencoder import Autoencoder
    from ..checks.adherence import ClipScorer
    from ..checks.legibility import TextReader
    from ..generators.protocol import Generator

REAL, LAUNDERED, FAKE = Label.REAL.value, Label.LAUNDERED.value, Label.FAKE.value
RUN_DETECTOR: Final = ""
"""Value of `Needs.detector` for the detector of the run."""

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The models and files of one set of settings, which are loaded and hashed for keys."""

    generator: str | None = None
    """Name or folder of a generator."""
    lora: str | None = None
    """LoRA adapters as `PATH[:WEIGHT]`, joined by a plus sign; with a generator."""
    controlnet: str | None = None
    """Folder of a ControlNet; with a generator."""
    autoencoder: str | None = None
    """Name of a generator, or folder of a generator or an autoencoder."""
    detector: str | None = None
    """Name or folder of a differentiable detector; `RUN_DETECTOR` for the detector of the run."""
    clip: str | None = None
    """Folder of a CLIP model that scores images against their prompts."""
    reads_text: bool = False
    """Whether text in the images is read."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Paths of files that decide pixels, by setting."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """Folders with `IMAGE_ID.png` for each parent, by setting."""
    contents: Mapping[str, Any] = field(default_factory=dict)
    """Plain values that decide pixels and are not settings, such as a version of the method."""


class Tools(Protocol):
    """The models that methods use, each loaded once per run."""

    def generator(self, name: str, lora: str | None, controlnet: str | None = None) -> Generator:
        """Return a generator by name or folder, with adapters and a ControlNet."""
        ...

    def autoencoder(self, name: str) -> Autoencoder:
        """Return an autoencoder by the name of its generator or its folder."""
        ...

    def clip(self, folder: str) -> ClipScorer:
        """Return a CLIP model by its folder."""
        ...

    def reader(self) -> TextReader:
        """Return the reader of text in images."""
        ...

    def logits(self, detector: str | None) -> Logits:
        """Return a detector as a differentiable function; None: the detector of the run."""
        ...

    def detector_id(self, detector: str | None) -> str:
        """Return the detector id of the weights behind `logits`."""
        ...

    def path(self, name: str) -> Path:
        """Return a path of the plan, resolved against the plan's folder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished image and its lineage, with the columns of the `synthetics` table."""

    raw: bytes
    """Encoded file."""
    label: str
    """Label of the image: `fake` or `laundered`."""
    generator: str | None = None
    """Id of the generator or autoencoder."""
    lora: str | None = None
    """LoRA adapters as `name@hash*weight`."""
    prompt: str | None = None
    """Prompt of the image."""
    negative_prompt: str | None = None
    """Negative prompt of the image."""
    steps: int | None = None
    """Number of denoising or gradient steps."""
    guidance: float | None = None
    """Scale of classifier-free guidance."""
    strength: float | None = None
    """Strength of the change: denoising strength, or size of the attack."""
    license_flags: tuple[str, ...] = ()
    """Conditions of the generator's licence on the image."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for the row's `params` besides the settings, such as measurements."""


class Method(ABC, Generic[S]):
    """A way to make images; subclasses set `name`, `description`, `settings_model` and `make`.

    Instances have no state: one instance makes all images of all plans.
    """

    name: ClassVar[str]
    """Name in plans, `method = NAME`."""
    description: ClassVar[str]
    """Description of the result, in one sentence."""
    settings_model: type[S]
    """Model of the settings with descriptions, ranges and defaults; one value per field."""
    uses_parent: ClassVar[bool] = True
    """Whether images are made from parents."""
    is_seeded: ClassVar[bool] = True
    """Whether the plan's seed decides pixels; if not, every seed makes the same images."""
    edits_parent: ClassVar[bool] = False
    """Whether parts of a photo remain, which the mark in the file then states."""
    expands: ClassVar[frozenset[str]] = frozenset()
    """Settings that `expand` turns into sets of settings; the others are swept."""
    unkeyed: ClassVar[frozenset[str]] = frozenset()
    """Settings that do not decide pixels by themselves."""

    @abstractmethod
    def make(self, job: Job, settings: S, parent: bytes | None, tools: Tools) -> Made:
        """Make the image of a job.

        Args:
            job: Job with its seed, its parent's id and label, and its settings as in the plan.
            settings: Settings of the job, with defaults.
            parent: Encoded parent; None for methods without one.
            tools: Loaded models of the run.

        Raises:
            SynthError: The image cannot be made; the message names the reason and the remedy.
        """

    def needs(self, settings: S) -> Needs:
        """Return the models and files to load for a set of settings."""
        return Needs()

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Check the settings of a block beyond their types and return them.

        Args:
            block: Settings of the block: values, or lists that are swept.
            folder: Folder of the plan.

        Raises:
            ConfigError: Settings contradict each other, or a file is missing.
            SynthError: A generator does not support the settings.
        """
        return block

    def expand(self, block: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the sets of settings from the `expands` of a block, in a fixed order.

        Args:
            block: Settings of the block.
            folder: Folder of the plan.

        Raises:
            InputError: A file that the block names cannot be read.
        """
        yield {}

    def count(self, block: Mapping[str, Any], folder: Path) -> int:
        """Count the sets that `expand` yields, without listing them.

        Args:
            block: Settings of the block.
            folder: Folder of the plan.

        Raises:
            InputError: A file that the block names cannot be read.
        """
        return 1

    def follows_label(self, settings: S, parent_label: str | None) -> list[Any]:
        """Return plain values in which image, mark and label depend on the parent's label.

        They are part of the key: when the label of a parent changes, images are made again only
        if these values change.

        Args:
            settings: Settings of the job.
            parent_label: Label of the parent.
        """
        return [parent_label == FAKE]

    def words(self, settings: Mapping[str, Any]) -> list[str]:
        """Return the words that name a job's row in the evasion table, one text per setting.

        Args:
            settings: Settings of the job as in the plan.
        """
        return [
            f"{name} {_last(settings[name])}" if mark.is_named else _last(settings[name])
            for name, mark in in_table(self.settings_model)
            if name in settings
        ]

    def settings_of(self, values: Mapping[str, Any]) -> S:
        """Return the settings of one image, with defaults.

        Args:
            values: Settings of the job as in the plan, already checked.
        """
        # Validating again with pydantic would double the time of listing jobs.
        known = {name: values[name] for name in self.settings_model.model_fields if name in values}
        return self.settings_model.model_construct(**{**self._unset, **known})

    @functools.cached_property
    def _unset(self) -> dict[str, Any]:
        fields = self.settings_model.model_fields
        return {
            name: f.get_default(call_default_factory=True)
            for name, f in fields.items()
            if not f.is_required()
        }

    @functools.cached_property
    def measured(self) -> frozenset[str]:
        """Settings that only measure an image."""
        return fields_of(self.settings_model, Role.MEASURES)

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """Defaults of the settings that are not in `expands`."""
        defaults = defaults_of(self.settings_model)
        return {name: value for name, value in defaults.items() if name not in self.expands}


def _last(value: object) -> str:
    """Shorten a path or a versioned name to its last part; the tables hold the whole."""
    return value.rpartition("/")[2] if isinstance(value, str) else f"{value}"


def label_after(parent_label: str | None) -> str:
    """Return the label of an image whose parent was only processed, without a model."""
    return FAKE if parent_label == FAKE else LAUNDERED


def swept_values(block: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values of a setting in a block: none, one, or those of its list.

    Args:
        block: Settings of the block.
        name: Name of the setting.
    """
    value = block.get(name, [])
    return list(value) if isinstance(value, (list, tuple)) else [value]
