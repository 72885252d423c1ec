"""What a synthesis method is to assay: settings, what it needs loaded, and how it makes a picture.

A method is one file: the built-in ones lie beside this module, an installed package adds one by an
entry point in the group `assay.methods`. Everything that needs weights comes in through `Tools`, so
that a method knows no checkpoint and no detector by name.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from pydantic import BaseModel

from ...data.schema import Label
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
"""In `Needs.detector`: the detector that scores in this run."""

S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one set of settings names: loaded before the work, and known by content in keys."""

    generator: str | None = None
    lora: str | None = None
    """`PATH[:WEIGHT]`, several joined by a plus; with a generator."""
    controlnet: str | None = None
    """A ControlNet's folder; with a generator."""
    autoencoder: str | None = None
    detector: str | None = None
    """A detector that gradients flow through; `RUN_DETECTOR` for the one that scores."""
    clip: str | None = None
    """Folder of a CLIP model that measures pictures against their prompts."""
    reads_text: bool = False
    """Whether the text in pictures is read."""
    files: Mapping[str, str] = field(default_factory=dict)
    """By setting: a file that decides pixels."""
    pictures: Mapping[str, str] = field(default_factory=dict)
    """By setting: a folder that holds `IMAGE_ID.png` for each parent."""
    contents: Mapping[str, Any] = field(default_factory=dict)
    """Plain values that decide pixels and stand in no setting, such as a version of the method."""


class Tools(Protocol):
    """What methods work with, each loaded once a run."""

    def generator(self, name: str, lora: str | None, controlnet: str | None = None) -> Generator:
        """Return a generator by name, with adapters."""
        ...

    def autoencoder(self, name: str) -> Autoencoder:
        """Return an autoencoder by the name of its generator or its folder."""
        ...

    def clip(self, folder: str) -> ClipScorer:
        """Return a CLIP model by its folder."""
        ...

    def reader(self) -> TextReader:
        """Return the reader of text in pictures."""
        ...

    def logits(self, detector: str | None) -> Logits:
        """Return a detector that gradients flow through; None: the one that scores."""
        ...

    def detector_id(self, detector: str | None) -> str:
        """Return the id of the exact weights behind `logits`."""
        ...

    def path(self, name: str) -> Path:
        """Return where a path of the plan leads, read against the plan's folder."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A finished picture and its lineage, as the `synthetics` table has it."""

    raw: bytes
    """The encoded file."""
    label: str
    generator: str | None = None
    lora: str | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    steps: int | None = None
    guidance: float | None = None
    strength: float | None = None
    license_flags: tuple[str, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Plain values that the row's `params` hold beside the settings, such as what was measured."""


class Method(ABC, Generic[S]):
    """A way to make pictures: `name`, `description`, `settings_model` and `make` have to be given.

    An instance holds no state: one makes every picture of every plan.
    """

    name: ClassVar[str]
    """As plans have it: `method = NAME`."""
    description: ClassVar[str]
    """What comes out, in one sentence."""
    settings_model: type[S]
    """The settings with descriptions, ranges and defaults; one value per field."""
    uses_parent: ClassVar[bool] = True
    is_seeded: ClassVar[bool] = True
    """Whether the plan's seed decides pixels; where not, another seed makes the same pictures."""
    edits_parent: ClassVar[bool] = False
    """Whether a photo stays partly as it was, which the mark in the file then says."""
    expands: ClassVar[frozenset[str]] = frozenset()
    """Settings that `expand` turns into sets of settings; the others are swept."""
    unkeyed: ClassVar[frozenset[str]] = frozenset()
    """Settings that decide no pixel by themselves."""

    @abstractmethod
    def make(self, job: Job, settings: S, parent: bytes | None, tools: Tools) -> Made:
        """Make the picture of a job.

        Args:
            job: Its seed, its parent's id and label, and settings as the plan has them.
            settings: The same settings with defaults.
            parent: Encoded bytes of the parent; None for methods without one.
            tools: Where weights come from.

        Raises:
            SynthError: It cannot be made; the message says why and what to do.
        """

    def needs(self, settings: S) -> Needs:
        """Return what has to be loaded for these settings."""
        return Needs()

    def checked(self, block: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Return the settings of a block as the plan keeps them, checked beyond their types.

        Args:
            block: Settings as written: a value, or a list that is swept.
            folder: Folder of the plan.

        Raises:
            ConfigError: Something does not fit together, or is not there.
        """
        return block

    def expand(self, block: Mapping[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the sets of settings that the `expands` of a block stand for, in a fixed order."""
        yield {}

    def count(self, block: Mapping[str, Any], folder: Path) -> int:
        """Return how many sets `expand` yields, without listing them."""
        return 1

    def follows_label(self, settings: S, parent_label: str | None) -> list[Any]:
        """Return what the picture, its mark and its own label take from the parent's label.

        Part of the key: a parent whose label changes has other children where this changes.
        """
        return [parent_label == FAKE]

    def words(self, settings: Mapping[str, Any]) -> list[str]:
        """Return what names a job's row in the table of who evades, a few words per setting.

        Args:
            settings: Settings of the job as the plan has them.
        """
        return [
            f"{name} {_last(settings[name])}" if mark.is_named else _last(settings[name])
            for name, mark in in_table(self.settings_model)
            if name in settings
        ]

    def settings_of(self, values: Mapping[str, Any]) -> S:
        """Return one picture's settings, defaults filled in."""
        # The plan has checked them; asking pydantic again would double the time of listing jobs.
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
        """Settings that measure a picture and leave it as it is."""
        return fields_of(self.settings_model, Role.MEASURES)

    @functools.cached_property
    def defaults(self) -> dict[str, Any]:
        """The values that hold for a picture where a plan says nothing."""
        defaults = defaults_of(self.settings_model)
        return {name: value for name, value in defaults.items() if name not in self.expands}


def _last(value: object) -> str:
    """Folders and versions are in the tables; here the last part tells enough."""
    return value.rpartition("/")[2] if isinstance(value, str) else f"{value}"


def label_after(parent_label: str | None) -> str:
    """Return the label of a picture whose parent was only processed, by no model."""
    return FAKE if parent_label == FAKE else LAUNDERED


def swept_values(block: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values of a setting in a block: none, one, or those of its list."""
    value = block.get(name, [])
    return list(value) if isinstance(value, (list, tuple)) else [value]
