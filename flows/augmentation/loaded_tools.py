"""Weights for synthesis methods, each loaded once per run."""

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
    """Cache of generators, autoencoders and detectors by name.

    Args:
        request: Request that names the scoring detector and its device.
        settings: Options for loading generators.
        generators: Additional generators by the names that the plan uses.
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
        """Return a generator by registered name, package or folder; `lora` is as in `Needs`.

        Raises:
            SynthError: The generator or an adapter is not available.
        """
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
                # The choice follows from the given memory, and affects the images.
                progress.say(f"{name}: {loaded.plan.describe()}")
        return self._generators[key]

    def adapters(self, lora: str) -> tuple[Adapter, ...]:
        """Return the adapters of `PATH[:WEIGHT]`, joined by `+`."""
        return tuple(parse_adapter(part, self.path) for part in lora.split("+") if part)

    def autoencoder(self, name: str) -> Autoencoder:
        """Return the autoencoder of a generator or of a diffusers folder.

        Raises:
            SynthError: No generator or folder has that name.
        """
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
        """Return RapidOCR, loaded at first use."""
        return self._reader

    def logits(self, detector: str | None) -> Logits:
        """Return a detector as a differentiable function."""
        key = detector or ""
        if key not in self._logits:
            self._logits[key] = differentiable(self.detector(detector))
        return self._logits[key]

    def detector_id(self, detector: str | None) -> str:
        """Return the id of the exact weights behind `logits`."""
        return self.detector(detector).detector_id

    def detector(self, name: str | None) -> Detector:
        """Return a detector by name or folder; None is the one that scores."""
        if not name:
            return detector_of(self._request)
        if name not in self._detectors:
            named = name if has_name(name) else str(self.path(name))
            self._detectors[name] = load_detector(
                named, device=self._request.device, backend="torch"
            )
        return self._detectors[name]

    def path(self, name: str) -> Path:
        """Return the resolved path of a path in the plan; warn if it is in the working folder."""
        if name not in self._said and is_in_working_folder(self._folder, name):
            self._said.add(name)
            progress.say(
                f"{shown(name)} is read from the working folder, since the plan's folder "
                f"{self._folder.resolve()} does not contain it; move it there, or give an absolute"
                " path"
            )
        return plan_path(self._folder, name)

    def prepare(self, plan: Plan) -> None:
        """Load all weights that a plan names, so that missing ones are reported before the work.

        Raises:
            SynthError: A generator, an adapter or an autoencoder is not available.
            ModelError: A detector is not available.
        """
        self._folder = plan.folder
        for block in plan.blocks:
            method = block.made_by
            for settings in block.loaded():
                try:
                    self._load(method.needs(method.settings_of(settings)))
                except OSError as error:
                    # A dangling link, a name that is too long, a folder without permission.
                    named = ", ".join(
                        f"{name} = {shown(value)}" for name, value in settings.items()
                    )
                    raise SynthError(
                        f"[[make]] {block.name} with {named} cannot be loaded: "
                        f"{shorten(error.strerror or str(error), 100)}; provide the files"
                    ) from error

    def contents_of(
        self, method: str, settings: Mapping[str, Any], parent_id: str | None
    ) -> Contents:
        """Return the ids and hashes behind the names in a job's settings, for its key."""
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
                raise SynthError(f"there is no file {shown(name)}; name an existing one")

    def _name(self, name: str) -> str:
        """Return a registered name unchanged, a folder with its path."""
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
        """Device of generators and checks; the detector's device is the request's."""
        return usable_device(self._settings.device)

    @functools.cached_property
    def _reader(self) -> TextReader:
        return TextReader()
