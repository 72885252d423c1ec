"""Where a generator's files come from: a folder, the hub's cache, or the hub; and which they are.

Pinned by commit, safetensors only, and no class but those of diffusers and transformers that the
family is made of: a folder that asks for anything else is refused before a file of it is loaded.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...data.errors import SynthError, shorten
from ...data.file_hashes import file_sha256, files_sha256
from ...data.text.wording import shown
from .presets import PRESETS, SMALL, Preset
from .registry import generator_names

_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_BLOB: Final = re.compile(r"[0-9a-f]{64}")
INDEX: Final = "model_index.json"
EMBEDDED: Final = Path(__file__).parent / "mini_sd3"
# The parts of the family, and the one class each may have; None: a part may be left out.
PARTS: Final[dict[str, frozenset[str]]] = {
    "scheduler": frozenset({"FlowMatchEulerDiscreteScheduler"}),
    "transformer": frozenset({"SD3Transformer2DModel"}),
    "vae": frozenset({"AutoencoderKL"}),
    "text_encoder": frozenset({"CLIPTextModelWithProjection"}),
    "text_encoder_2": frozenset({"CLIPTextModelWithProjection"}),
    "text_encoder_3": frozenset({"T5EncoderModel"}),
    "tokenizer": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
    "tokenizer_2": frozenset({"CLIPTokenizer", "CLIPTokenizerFast"}),
    "tokenizer_3": frozenset({"T5Tokenizer", "T5TokenizerFast"}),
    "image_encoder": frozenset({"SiglipVisionModel", "CLIPVisionModelWithProjection"}),
    "feature_extractor": frozenset({"SiglipImageProcessor", "CLIPImageProcessor"}),
}
OPTIONAL: Final = ("text_encoder_3", "tokenizer_3", "image_encoder", "feature_extractor")
_WANTED: Final = ["model_index.json", "*/*.json", "*/*.txt", "*/*.model", "*/*.safetensors"]
# Variants and the single-file forms of the same weights would double the download.
_UNWANTED: Final = ["*.fp16.*", "*.fp8.*", "text_encoders/*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFiles:
    """A generator's folder that passed every check, not loaded yet."""

    folder: Path
    preset: Preset
    generator_id: str
    """Name and what pins it: the commit, or the hash of a local folder's weights."""
    missing: tuple[str, ...]
    """Optional parts that the folder does not have."""


def find_generator(name: str) -> GeneratorFiles:
    """The files of a registered name, of `org/name@commit`, or of a local folder.

    Args:
        name: `sd3.5-large`, `sd3.5-large-turbo`, `sd3.5-medium`, `mini-sd3`, a hub id with its
            commit, or a diffusers folder.

    Raises:
        SynthError: The files cannot be had, or are not what they should be.
    """
    if name in PRESETS:
        card = PRESETS[name]
        if not card.repo:
            return _checked(EMBEDDED, card, f"{name}@{weights_sha256(EMBEDDED)[:12]}")
        folder = _from_hub(card.repo, card.revision, is_gated=card.is_gated)
        return _checked(folder, card, f"{card.repo}@{card.revision}")
    try:
        if Path(name).is_dir():
            folder = Path(name)
            files = _checked(folder, None, folder.name)
            pinned = f"{folder.name}@{weights_sha256(folder)[:12]}"
            return dataclasses.replace(files, generator_id=pinned)
    except OSError as error:
        # A name too long for a file, or a link to weights that were moved away.
        missing = Path(str(error.filename or "")).name
        what = f"{error.strerror or error}{f', {shown(missing)}' if missing else ''}"
        raise SynthError(
            f"the generator {shown(name)} cannot be read: {shorten(what, 120)}; copy its "
            "files there again, or name another folder"
        ) from error
    repo, _, revision = name.partition("@")
    if _HUB_ID.fullmatch(repo) is None:
        raise SynthError(
            f"no generator is named {shown(name)} and no such folder is there; allowed: "
            f"{', '.join(generator_names())}, a diffusers folder, or org/name@<commit>"
        )
    if _COMMIT.fullmatch(revision) is None:
        raise SynthError(
            f"{name} names no full commit; a branch may hold other weights tomorrow: use "
            f"{repo}@<40 hex digits>"
        )
    folder = _from_hub(repo, revision, is_gated=True)
    return _checked(folder, None, f"{repo}@{revision}")


def weights_sha256(folder: Path) -> str:
    """One hash of every safetensors file below a folder, by path and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        # The hub's cache names its files by their hash; hashing 26 GB would take a minute.
        real = path.resolve()
        digest = real.name if _BLOB.fullmatch(real.name) else file_sha256(real)
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def contents_sha256(folder: Path) -> str:
    """One hash of all that a generator is loaded from: weights, configurations, vocabularies."""
    others = files_sha256(
        folder, [pattern for pattern in _WANTED if not pattern.endswith(".safetensors")]
    )
    return hashlib.sha256(f"{weights_sha256(folder)} {others}".encode()).hexdigest()


def _checked(folder: Path, preset: Preset | None, generator_id: str) -> GeneratorFiles:
    index = _index(folder)
    missing = []
    for part, allowed in PARTS.items():
        library, kind = index.get(part) or (None, None)
        if kind is None:
            if part not in OPTIONAL:
                raise SynthError(f"{folder / INDEX} has no {part}; a generator of SD3.5 needs one")
            missing.append(part)
            continue
        if kind not in allowed or library not in {"diffusers", "transformers"}:
            raise SynthError(
                f"{folder / INDEX} wants {library}.{kind} as its {part}; allowed: "
                f"{', '.join(sorted(allowed))}"
            )
        if not (folder / part).is_dir():
            raise SynthError(f"{folder} lacks the folder {part} that its {INDEX} names")
        is_model = part in {"transformer", "vae"} or "encoder" in part
        if is_model and not any((folder / part).glob("*.safetensors")):
            raise SynthError(
                f"{folder / part} has no safetensors; other weight files can run code and are "
                "never opened"
            )
    return GeneratorFiles(
        folder=folder,
        preset=preset or _guessed(folder),
        generator_id=generator_id,
        missing=tuple(missing),
    )


def _index(folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SynthError(
            f"{folder} is no diffusers folder: {INDEX} cannot be read ({error})"
        ) from error
    kind = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(index, dict) or not str(kind).startswith("StableDiffusion3"):
        raise SynthError(f"{folder} holds a {kind}; allowed: StableDiffusion3Pipeline")
    return index


def _guessed(folder: Path) -> Preset:
    """The preset whose transformer has this folder's number of blocks."""
    try:
        config = json.loads((folder / "transformer" / "config.json").read_text(encoding="utf-8"))
        layers = int(config["num_layers"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SynthError(f"{folder}/transformer/config.json cannot be read: {error}") from error
    by_layers = {38: PRESETS["sd3.5-large"], 24: PRESETS["sd3.5-medium"]}
    return by_layers.get(layers, SMALL)


def _from_hub(repo: str, revision: str, *, is_gated: bool) -> Path:
    import huggingface_hub as hub
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    def snapshot(**options: Any) -> Path:
        folder = hub.snapshot_download(
            repo,
            revision=revision,
            allow_patterns=_WANTED,
            ignore_patterns=_UNWANTED,
            etag_timeout=10.0,
            **options,
        )
        return Path(folder)

    try:
        try:
            return snapshot(local_files_only=True)
        except LocalEntryNotFoundError:
            return snapshot()
    except (GatedRepoError, RepositoryNotFoundError) as error:
        gate = "; it is gated: accept its licence on its page" if is_gated else ""
        raise SynthError(
            f"{repo}@{revision[:12]} was refused by the hub{gate} and set HF_TOKEN to a token of "
            f"that account, or name a local folder ({type(error).__name__})"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise SynthError(
            f"{repo}@{revision[:12]} is not in the hub's cache and cannot be downloaded "
            f"({type(error).__name__}); connect, copy the cache of another machine (HF_HOME), or "
            "name a local folder"
        ) from error
