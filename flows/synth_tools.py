"""The weights that methods work with, each loaded once a run."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from ..data.errors import AssayError, ConfigError, SynthError, shorten
from ..data.file_hashes import file_sha256, files_sha256
from ..data.text.wording import shown
from ..synth.attacks.pixel import Logits
from ..synth.autoencoder import Autoencoder, load_autoencoder
from ..synth.checks.adherence import ClipScorer, load_clip
from ..synth.checks.legibility import TextReader
from ..synth.generators.answers import reason_of
from ..synth.generators.checkpoints import INDEX, find_generator
from ..synth.generators.guard import GuardedGenerator
from ..synth.generators.load import LoadSettings, load_generator, usable_device
from ..synth.generators.lora import parse_adapter
from ..synth.generators.presets import PRESETS
from ..synth.generators.protocol import Generator
from ..synth.generators.sd35 import Sd35Generator
from ..synth.plan.job_key import Contents
from ..synth.plan.plan import Block, Plan
from ..tasks.detector.detector import Detector
from ..tasks.detector.differentiable import differentiable
from ..tasks.detector.load import load_detector
from . import progress, steps
from .request import Request

_PAINTED: Final = frozenset({"text", "image-to-image", "inpaint", "control"})
# Settings that name something to load; sweeping over the others loads nothing more.
_LOADED: Final = ("generator", "lora", "controlnet", "clip", "ocr", "autoencoder", "detector")


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
        self._generators: dict[tuple[str, str | None, str | None], GuardedGenerator] = {
            (name, None, None): GuardedGenerator(_checked(name, given))
            for name, given in (generators or {}).items()
        }
        self._autoencoders: dict[str, Autoencoder] = {}
        self._clips: dict[str, ClipScorer] = {}
        self._reader: TextReader | None = None
        self._detectors: dict[str, Detector] = {}
        self._logits: dict[str, Logits] = {}
        self._contents: dict[tuple[str, str], Any] = {}

    def generator(
        self, name: str, lora: str | None, controlnet: str | None = None
    ) -> GuardedGenerator:
        """A registered generator or a folder; `lora` is `PATH[:WEIGHT]`, several joined by `+`."""
        key = (name, lora, controlnet)
        if key not in self._generators:
            adapters = tuple(parse_adapter(part) for part in (lora or "").split("+") if part)
            settings = dataclasses.replace(
                self._settings,
                adapters=self._settings.adapters + adapters,
                controlnet=controlnet or self._settings.controlnet,
            )
            loaded = load_generator(name, settings)
            self._generators[key] = GuardedGenerator(loaded)
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
            for settings in block.sweep(*_LOADED):
                try:
                    self._prepare(block, settings)
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
        """What the names in a job's settings stand for: ids and hashes, for the job's key.

        Raises:
            SynthError: A generator, an adapter or an autoencoder cannot be had.
            ModelError: A detector cannot be had.
        """
        pixels: dict[str, Any] = {}
        recorded: dict[str, str | None] | None = {}
        if method in _PAINTED:
            pixels, generator = self._painted(method, settings)
            adapters = generator.lora
            recorded = {"generator": generator.generator_id, "lora": adapters}
        if method in {"aligned", "latent-attack"}:
            name = str(settings["autoencoder"])
            pixels["autoencoder"] = self._once("autoencoder", name, self._autoencoder_contents)
            recorded = {"generator": self.autoencoder(name).autoencoder_id}
        if method in {"attack", "latent-attack"}:
            detector = self._detector(
                str(settings["detector"]) if settings.get("detector") else None
            )
            pixels["detector"] = [
                detector.detector_id,
                detector.weights_sha256,
                detector.profile.describe(),
                detector.positive,
            ]
            recorded = (recorded or {}) | {"attacked": detector.detector_id}
        for name in ("mask", "controls"):
            if name in settings and Path(str(settings[name])).is_dir():
                pixels[name] = _file_contents(Path(str(settings[name])) / f"{parent_id}.png")
                recorded = None  # no row tells which file it was
        return Contents(
            pixels=pixels, measures=self._measures(settings), recorded=self._as_before(recorded)
        )

    def _painted(
        self, method: str, settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any], GuardedGenerator]:
        lora, net = _text(settings, "lora"), _text(settings, "controlnet")
        generator = self.generator(str(settings["generator"]), lora, net)
        pixels: dict[str, Any] = {"generator": [generator.generator_id, generator.contents]}
        # A folder's name is no part of its contents.
        if isinstance(generator.inner, Sd35Generator):
            pixels["generator"] = generator.contents
        if lora:
            pixels["lora"] = self._once("lora", lora, _adapter_contents)
        if net:
            pixels["controlnet"] = self._once("controlnet", net, _folder_contents)
        preset = generator.preset
        if preset is not None:
            steps, guidance = preset.usual(controlled=method == "control")
            pixels["steps"] = settings.get("steps", steps)
            pixels["guidance"] = settings.get("guidance", guidance)
            if method == "text":
                pixels["width"] = settings.get("width", preset.default_px)
                pixels["height"] = settings.get("height", preset.default_px)
        return pixels, generator

    def _measures(self, settings: Mapping[str, Any]) -> dict[str, str]:
        measures = {}
        if settings.get("clip") and settings.get("prompt"):
            measures["clip"] = self.clip(str(settings["clip"])).clip_id
        if settings.get("ocr") and settings.get("expected_text"):
            measures["ocr"] = self.reader().reader_id
        return measures

    def _as_before(self, recorded: dict[str, str | None] | None) -> dict[str, str | None] | None:
        """Rows of the first version do not tell how a generator was loaded."""
        is_usual = self._settings == LoadSettings(device=self._settings.device)
        return recorded if is_usual else None

    def _once(self, kind: str, name: str, find: Callable[[str], Any]) -> Any:
        """What a name stands for; looked at once a run, as it is loaded once."""
        if (kind, name) not in self._contents:
            try:
                self._contents[kind, name] = find(name)
            except OSError as error:
                raise SynthError(f"{kind} {name} cannot be read: {error}") from error
        return self._contents[kind, name]

    def _autoencoder_contents(self, name: str) -> list[str]:
        autoencoder = self.autoencoder(name)
        config = dict(getattr(autoencoder.module, "config", {}))
        config.pop("_name_or_path", None)
        told = json.dumps(config, sort_keys=True, default=str)
        return [autoencoder.weights_sha256, hashlib.sha256(told.encode()).hexdigest()]

    def _prepare(self, block: Block, settings: dict[str, str | int | float | bool]) -> None:
        if block.method in _PAINTED:
            lora, net = _text(settings, "lora"), _text(settings, "controlnet")
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


def _text(settings: Mapping[str, Any], name: str) -> str | None:
    return str(settings[name]) if settings.get(name) else None


def _adapter_contents(lora: str) -> list[list[str | float]]:
    adapters = [parse_adapter(part) for part in lora.split("+") if part]
    return [[file_sha256(one.file), one.weight] for one in adapters]


def _folder_contents(folder: str) -> str:
    return files_sha256(Path(folder), ("*.json", "*.safetensors"))


def _file_contents(path: Path) -> str:
    """A hash; a job whose file is not there fails, and is another one when it is."""
    try:
        return file_sha256(path)
    except OSError:
        return "absent"


def _check_members(name: str, given: Generator) -> None:
    """Refuse members that rows and keys cannot hold."""
    if not isinstance(given.generator_id, str) or not given.generator_id.strip():
        raise ConfigError(
            f"generators[{name!r}].generator_id is {shown(given.generator_id)}; allowed: text that "
            "names what makes the pictures"
        )
    flags: object = given.license_flags
    if not isinstance(flags, (list, tuple)) or not all(isinstance(flag, str) for flag in flags):
        raise ConfigError(
            f"generators[{name!r}].license_flags is {shown(flags)}; allowed: a list of texts"
        )
    contents = getattr(given, "contents", None)
    try:
        json.dumps(contents)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"generators[{name!r}].contents is {shown(contents)}; allowed: plain values, as JSON "
            "has them"
        ) from error


def _checked(name: str, given: object) -> Generator:
    """What was given as a generator, with the members of one, and what rows hold of it."""
    try:
        if is_generator := isinstance(given, Generator):
            _check_members(name, given)
    except AssayError:
        raise
    except Exception as error:
        # Members may be anybody's code.
        raise ConfigError(
            f"generators[{name!r}] cannot be asked what it is: {reason_of(error)}"
        ) from error
    if is_generator:
        return cast("Generator", given)
    hint = (
        "wrap a function as CallableGenerator(generator_id=..., function=...)"
        if callable(given)
        else "allowed: generator_id, license_flags, check(ask) and make(ask)"
    )
    raise ConfigError(f"generators[{name!r}] is a {type(given).__name__}; {hint}")
