"""Contents behind the names in a job's settings: ids and hashes that form the job's key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ...data.errors import SynthError
from ...data.file_hashes import file_sha256, files_sha256
from ...synth.autoencoder import Autoencoder
from ...synth.checks.adherence import ClipScorer
from ...synth.checks.legibility import TextReader
from ...synth.generators.guard import GuardedGenerator
from ...synth.generators.lora import Adapter
from ...synth.generators.sd35 import Sd35Generator
from ...synth.job import Contents
from ...synth.methods.protocol import Method, Needs
from ...synth.methods.registry import method_of
from ...tasks.detector.detector import Detector


class Loaded(Protocol):
    """Loaded weights by name; `LoadedTools` is one."""

    def generator(self, name: str, lora: str | None, controlnet: str | None) -> GuardedGenerator:
        """Return a generator by name, with adapters."""
        ...

    def adapters(self, lora: str) -> tuple[Adapter, ...]:
        """Return the adapters of `PATH[:WEIGHT]`, joined by `+`."""
        ...

    def autoencoder(self, name: str) -> Autoencoder:
        """Return an autoencoder by name or folder."""
        ...

    def clip(self, folder: str) -> ClipScorer:
        """Return a CLIP model by its folder."""
        ...

    def reader(self) -> TextReader:
        """Return the reader of text in images."""
        ...

    def detector(self, name: str | None) -> Detector:
        """Return a detector; None is the one that scores."""
        ...

    def path(self, name: str) -> Path:
        """Return the resolved path of a path in the plan."""
        ...


class ContentsReader:
    """Reader of the contents of files and weights, each once per run.

    Args:
        tools: Source of the weights.
        is_recorded: Whether rows of the first version suffice, which do not record how a generator
            was loaded.
    """

    def __init__(self, tools: Loaded, *, is_recorded: bool) -> None:
        self._tools = tools
        self._is_recorded = is_recorded
        self._known: dict[tuple[str, str], Any] = {}

    def contents_of(
        self, method: str, settings: Mapping[str, Any], parent_id: str | None
    ) -> Contents:
        """Return the contents behind the names in a job's settings.

        Raises:
            SynthError: A generator, an adapter or an autoencoder is not available.
            ModelError: A detector is not available.
        """
        made_by = method_of(method)
        needs = made_by.needs(made_by.settings_of(settings))
        pixels: dict[str, Any] = {}
        recorded: dict[str, str | None] | None = {}
        if needs.generator is not None:
            pixels, recorded = self._painted(made_by, needs, settings)
        if needs.autoencoder is not None:
            name = needs.autoencoder
            pixels["autoencoder"] = self._once("autoencoder", name, self._autoencoder)
            recorded = {"generator": self._tools.autoencoder(name).autoencoder_id}
        if needs.detector is not None:
            detector = self._tools.detector(needs.detector or None)
            pixels["detector"] = [
                detector.detector_id,
                detector.weights_sha256,
                detector.profile.describe(),
                detector.positive,
            ]
            recorded = (recorded or {}) | {"attacked": detector.detector_id}
        for setting, name in needs.files.items():
            pixels[setting] = self._once(setting, name, self._file)
        for setting, name in needs.pictures.items():
            pixels[setting] = _file_contents(self._tools.path(name) / f"{parent_id}.png")
            recorded = None  # no row records which file it was
        return Contents(
            pixels=pixels | dict(needs.contents),
            measures=self._measures(needs, settings),
            recorded=recorded if self._is_recorded else None,
        )

    def _painted(
        self, method: Method[Any], needs: Needs, settings: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str | None]]:
        generator = self._tools.generator(str(needs.generator), needs.lora, needs.controlnet)
        pixels: dict[str, Any] = {"generator": [generator.generator_id, generator.contents]}
        # A folder's name is not part of its contents.
        if isinstance(generator.inner, Sd35Generator):
            pixels["generator"] = generator.contents
        if needs.lora:
            pixels["lora"] = self._once("lora", needs.lora, self._adapters)
        if needs.controlnet:
            pixels["controlnet"] = self._once("controlnet", needs.controlnet, self._folder)
        preset = generator.preset
        if preset is not None:
            steps, guidance = preset.usual(controlled=needs.controlnet is not None)
            pixels["steps"] = settings.get("steps", steps)
            pixels["guidance"] = settings.get("guidance", guidance)
            if not method.uses_parent:
                pixels["width"] = settings.get("width", preset.default_px)
                pixels["height"] = settings.get("height", preset.default_px)
        return pixels, {"generator": generator.generator_id, "lora": generator.lora}

    def _measures(self, needs: Needs, settings: Mapping[str, Any]) -> dict[str, str]:
        measures = {}
        if needs.clip and settings.get("prompt"):
            measures["clip"] = self._tools.clip(needs.clip).clip_id
        if needs.reads_text and settings.get("expected_text"):
            measures["ocr"] = self._tools.reader().reader_id
        return measures

    def _once(self, kind: str, name: str, find: Callable[[str], Any]) -> Any:
        if (kind, name) not in self._known:
            try:
                self._known[kind, name] = find(name)
            except OSError as error:
                raise SynthError(f"{kind} {name} cannot be read: {error}") from error
        return self._known[kind, name]

    def _autoencoder(self, name: str) -> list[str]:
        autoencoder = self._tools.autoencoder(name)
        config = dict(getattr(autoencoder.module, "config", {}))
        config.pop("_name_or_path", None)
        text = json.dumps(config, sort_keys=True, default=str)
        return [autoencoder.weights_sha256, hashlib.sha256(text.encode()).hexdigest()]

    def _adapters(self, lora: str) -> list[list[str | float]]:
        return [[file_sha256(one.file), one.weight] for one in self._tools.adapters(lora)]

    def _folder(self, name: str) -> str:
        return files_sha256(self._tools.path(name), ("*.json", "*.safetensors"))

    def _file(self, name: str) -> str:
        return file_sha256(self._tools.path(name))


def _file_contents(path: Path) -> str:
    """Return a file's hash, or "absent"; a job has another key once its file exists."""
    try:
        return file_sha256(path)
    except OSError:
        return "absent"
