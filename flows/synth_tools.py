"""The weights that methods work with, each loaded once a run."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path

from ..data.errors import SynthError
from ..synth.adherence import ClipScorer, load_clip
from ..synth.attacks.pixel import Logits
from ..synth.autoencoder import Autoencoder, load_autoencoder
from ..synth.checkpoints import INDEX, find_generator
from ..synth.generator import Generator
from ..synth.legibility import TextReader
from ..synth.loading import LoadSettings, load_generator, usable_device
from ..synth.lora import parse_adapter
from ..synth.plan import Block, Plan
from ..synth.presets import PRESETS
from ..tasks.detector.detector import Detector
from ..tasks.detector.differentiable import differentiable
from ..tasks.detector.load import load_detector
from . import progress, steps
from .request import Request


class LoadedTools:
    """Generators, autoencoders and detectors by name, kept once they are loaded."""

    def __init__(
        self,
        request: Request,
        settings: LoadSettings | None = None,
        generators: Mapping[str, Generator] | None = None,
    ) -> None:
        self._request = request
        self._settings = settings or LoadSettings()
        self._generators: dict[tuple[str, str | None, str | None], Generator] = {
            (name, None, None): given for name, given in (generators or {}).items()
        }
        self._autoencoders: dict[str, Autoencoder] = {}
        self._clips: dict[str, ClipScorer] = {}
        self._reader: TextReader | None = None
        self._detectors: dict[str, Detector] = {}
        self._logits: dict[str, Logits] = {}

    def generator(self, name: str, lora: str | None, controlnet: str | None = None) -> Generator:
        """A registered generator or a folder; `lora` is `PATH[:WEIGHT]`, several joined by `+`."""
        key = (name, lora, controlnet)
        if key not in self._generators:
            adapters = tuple(parse_adapter(part) for part in (lora or "").split("+") if part)
            settings = dataclasses.replace(
                self._settings,
                adapters=self._settings.adapters + adapters,
                controlnet=controlnet or self._settings.controlnet,
            )
            loaded = self._generators[key] = load_generator(name, settings)
            if settings.memory is not None:
                # Chosen for whoever gave the memory, and decides what pictures look like.
                progress.say(f"{name}: {loaded.plan.describe()}")
        return self._generators[key]

    def autoencoder(self, name: str) -> Autoencoder:
        """The autoencoder of a generator, or of a diffusers folder."""
        if name not in self._autoencoders:
            folder = Path(name)
            if name in PRESETS or (folder / INDEX).is_file() or "@" in name:
                found = load_autoencoder(find_generator(name).folder / "vae", device=self._device)
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

    @functools.cached_property
    def _device(self) -> str:
        """Of all that makes or measures pictures; the detector's is the request's."""
        return usable_device(self._settings.device)

    def clip(self, folder: str) -> ClipScorer:
        """A CLIP model of a local folder."""
        if folder not in self._clips:
            self._clips[folder] = load_clip(folder, device=self._device)
        return self._clips[folder]

    def reader(self) -> TextReader:
        """RapidOCR, loaded at the first use."""
        if self._reader is None:
            self._reader = TextReader()
        return self._reader

    def logits(self, detector: str | None) -> Logits:
        """A detector as a function that gradients flow through."""
        key = detector or ""
        if key not in self._logits:
            self._logits[key] = differentiable(self._detector(detector))
        return self._logits[key]

    def detector_id(self, detector: str | None) -> str:
        """The exact weights behind `logits`."""
        return self._detector(detector).detector_id

    def prepare(self, plan: Plan) -> None:
        """Load everything that a plan names, so that what is missing is said before the work.

        Raises:
            SynthError: A generator, an adapter or an autoencoder cannot be had.
            ModelError: A detector cannot be had.
        """
        for block in plan.blocks:
            for settings in block.sweep():
                self._prepare(block, settings)

    def _prepare(self, block: Block, settings: dict[str, str | int | float | bool]) -> None:
        if block.method in {"text", "image-to-image", "inpaint", "control"}:
            lora, net = (
                str(settings[name]) if settings.get(name) else None
                for name in ("lora", "controlnet")
            )
            self.generator(str(settings["generator"]), lora, net)
            if settings.get("clip"):
                self.clip(str(settings["clip"]))
            if settings.get("ocr"):
                self.reader()
        if block.method in {"aligned", "latent-attack"}:
            self.autoencoder(str(settings["autoencoder"]))
        if block.method in {"attack", "latent-attack"}:
            detector = settings.get("detector")
            self.logits(str(detector) if detector else None)

    def _detector(self, name: str | None) -> Detector:
        if name is None:
            return steps.detector_of(self._request)
        if name not in self._detectors:
            self._detectors[name] = load_detector(
                name, device=self._request.device, backend="torch"
            )
        return self._detectors[name]
