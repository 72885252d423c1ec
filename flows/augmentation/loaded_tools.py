"""The weights that methods work with, each loaded once a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...data.errors import SynthError, shorten
from ...data.text.wording import shown
from ...synth.attacks.pixel import Logits
from ...synth.autoencoder import Autoencoder, load_autoencoder
from ...synth.checks.adherence import ClipScorer, load_clip
from ...synth.checks.legibility import TextReader
from ...synth.generators.checkpoints import INDEX, find_generator
from ...synth.generators.guard import GuardedGenerator
from ...synth.generators.load import LoadSettings, load_generator, usable_device
from ...synth.generators.lora import Adapter, parse_adapter
from ...synth.generators.presets import PRESETS
from ...synth.generators.protocol import Generator
from ...synth.generators.registry import added_generator, checked_generator, is_added
from ...synth.job import Contents
from ...synth.methods.protocol import Needs
from ...synth.plan.plan import Plan
from ...synth.plan_paths import is_in_working_folder, is_there, plan_path
from ...tasks.detector.detector import Detector
from ...tasks.detector.differentiable import differentiable
from ...tasks.detector.load import load_detector
from ...tasks.detector.weights.locate import has_name
from .. import progress
from ..judging import detector_of
from ..request import Request
from .contents import ContentsReader


class LoadedTools:
    """Generators, autoencoders and detectors by name, kept once they are loaded.

    Args:
        request: The detector that scores, and its device.
        settings: How generators are loaded.
        generators: Others by the names that the plan gives them.
    """

    def __init__(
        self,
        request: Request,
        settings: LoadSettings | None = None,
        generators: Mapping[str, Generator] | None = None,
    ) -> None:
        self._request = request
        self._settings = settings or LoadSettings()
        self._folder = Path()
        self._generators: dict[tuple[str, str | None, str | None], GuardedGenerator] = {
            (name, None, None): GuardedGenerator(checked_generator(f"generators[{name!r}]", given))
            for name, given in (generators or {}).items()
        }
        self._autoencoders: dict[str, Autoencoder] = {}
        self._clips: dict[str, ClipScorer] = {}
        self._detectors: dict[str, Detector] = {}
        self._logits: dict[str, Logits] = {}
        is_usual = self._settings == LoadSettings(device=self._settings.device)
        self._contents = ContentsReader(self, is_recorded=is_usual)
        self._said: set[str] = set()

    def generator(
        self, name: str, lora: str | None, controlnet: str | None = None
    ) -> GuardedGenerator:
        """Return a registered generator, one of a package, or a folder; `lora` as in `Needs`."""
        key = (name, lora, controlnet)
        if key not in self._generators:
            if is_added(name):
                self._generators[key] = GuardedGenerator(self._added(name, lora, controlnet))
                return self._generators[key]
            settings = dataclasses.replace(
                self._settings,
                adapters=self._settings.adapters + self.adapters(lora or ""),
                controlnet=str(self.path(controlnet)) if controlnet else self._settings.controlnet,
            )
            loaded = load_generator(self._name(name), settings)
            self._generators[key] = GuardedGenerator(loaded)
            if settings.memory is not None:
                # Chosen for whoever gave the memory, and decides what pictures look like.
                progress.say(f"{name}: {loaded.plan.describe()}")
        return self._generators[key]

    def adapters(self, lora: str) -> tuple[Adapter, ...]:
        """Return the adapters of `PATH[:WEIGHT]`, several joined by `+`."""
        return tuple(parse_adapter(part, self.path) for part in lora.split("+") if part)

    def autoencoder(self, name: str) -> Autoencoder:
        """Return the autoencoder of a generator, or of a diffusers folder."""
        if name not in self._autoencoders:
            named = self._name(name)
            folder = Path(named)
            if name in PRESETS or (folder / INDEX).is_file() or "@" in name:
                found = load_autoencoder(find_generator(named).folder / "vae", device=self._device)
                short = name.partition("@")[0] if not folder.is_dir() else folder.name
                self._autoencoders[name] = dataclasses.replace(found, name=f"{short}/vae")
            elif folder.is_dir():
                self._autoencoders[name] = load_autoencoder(folder, device=self._device)
            else:
                raise SynthError(
                    f"no autoencoder is named {name!r}; allowed: {', '.join(PRESETS)}, or a "
                    "diffusers folder"
                )
        return self._autoencoders[name]

    def clip(self, folder: str) -> ClipScorer:
        """Return a CLIP model of a local folder."""
        if folder not in self._clips:
            self._clips[folder] = load_clip(str(self.path(folder)), device=self._device)
        return self._clips[folder]

    def reader(self) -> TextReader:
        """Return RapidOCR, loaded at the first use."""
        return self._reader

    def logits(self, detector: str | None) -> Logits:
        """Return a detector as a function that gradients flow through."""
        key = detector or ""
        if key not in self._logits:
            self._logits[key] = differentiable(self.detector(detector))
        return self._logits[key]

    def detector_id(self, detector: str | None) -> str:
        """Return the id of the exact weights behind `logits`."""
        return self.detector(detector).detector_id

    def detector(self, name: str | None) -> Detector:
        """Return a detector by name or folder; None: the one that scores."""
        if not name:
            return detector_of(self._request)
        if name not in self._detectors:
            named = name if has_name(name) else str(self.path(name))
            self._detectors[name] = load_detector(
                named, device=self._request.device, backend="torch"
            )
        return self._detectors[name]

    def path(self, name: str) -> Path:
        """Return where a path of the plan leads; say so where only the working folder has it."""
        if name not in self._said and is_in_working_folder(self._folder, name):
            self._said.add(name)
            progress.say(
                f"{shown(name)} is read from the working folder, since the plan's folder "
                f"{self._folder.resolve()} has none; put it there, or write its whole path"
            )
        return plan_path(self._folder, name)

    def prepare(self, plan: Plan) -> None:
        """Load everything that a plan names, so that what is missing is said before the work.

        Raises:
            SynthError: A generator, an adapter or an autoencoder cannot be had.
            ModelError: A detector cannot be had.
        """
        self._folder = plan.folder
        for block in plan.blocks:
            method = block.made_by
            for settings in block.loaded():
                try:
                    self._load(method.needs(method.settings_of(settings)))
                except OSError as error:
                    # A dangling link, a name too long for a file, a folder that nobody may read.
                    named = ", ".join(
                        f"{name} = {shown(value)}" for name, value in settings.items()
                    )
                    raise SynthError(
                        f"[[make]] {block.name} with {named} cannot be loaded: "
                        f"{shorten(error.strerror or str(error), 100)}; put the files there"
                    ) from error

    def contents_of(
        self, method: str, settings: Mapping[str, Any], parent_id: str | None
    ) -> Contents:
        """Return what the names in a job's settings stand for: ids and hashes, for its key."""
        return self._contents.contents_of(method, settings, parent_id)

    def _load(self, needs: Needs) -> None:
        if needs.generator is not None:
            self.generator(needs.generator, needs.lora, needs.controlnet)
        if needs.clip is not None:
            self.clip(needs.clip)
        if needs.reads_text:
            self.reader()
        if needs.autoencoder is not None:
            self.autoencoder(needs.autoencoder)
        if needs.detector is not None:
            self.logits(needs.detector or None)
        for name in needs.files.values():
            if not is_there(self.path(name)):
                raise SynthError(f"there is no file {shown(name)}; name one that is there")

    def _name(self, name: str) -> str:
        """Return a registered name or hub id as it is, a folder with its path."""
        return name if name in PRESETS else str(self.path(name))

    def _added(self, name: str, lora: str | None, controlnet: str | None) -> Generator:
        for setting, value in (("lora", lora), ("controlnet", controlnet)):
            if value:
                raise SynthError(
                    f"{setting} = {shown(value)} with the generator {shown(name)} of an installed "
                    f"package; it takes none: leave {setting} out"
                )
        return added_generator(name)

    @functools.cached_property
    def _device(self) -> str:
        """Device of all that makes or measures pictures; the detector's is the request's."""
        return usable_device(self._settings.device)

    @functools.cached_property
    def _reader(self) -> TextReader:
        return TextReader()
