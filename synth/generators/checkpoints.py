"""Files of generators, from a folder, the hub's cache or the hub, with their identity.

Hub files are pinned by commit. Weights are safetensors only, and classes are those of the family in
diffusers and transformers: a folder with anything else is refused before a file of it is loaded.
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
# Parts of the family, and the classes that each may have.
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
# Variants and single-file forms of the same weights would double the download.
_UNWANTED: Final = ["*.fp16.*", "*.fp8.*", "text_encoders/*"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorFiles:
    """A generator's folder that passed every check; nothing is loaded yet."""

    folder: Path
    """Diffusers folder of the generator."""
    preset: Preset
    """Preset of the generator."""
    generator_id: str
    """Name and commit; for a local folder, name and hash of the weights."""
    missing: tuple[str, ...]
    """Optional parts that the folder does not have."""


def find_generator(name: str) -> GeneratorFiles:
    """Find and check the files of a generator, and download them if necessary.

    Args:
        name: Registered name (`sd3.5-large`, `sd3.5-large-turbo`, `sd3.5-medium`, `mini-sd3`), hub
            id with its commit (`org/name@commit`), or path of a diffusers folder.

    Raises:
        SynthError: The files are missing, cannot be downloaded, or are refused.
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
        # For example a name too long for a file, or a broken link to weights.
        missing = Path(str(error.filename or "")).name
        what = f"{error.strerror or error}{f', {shown(missing)}' if missing else ''}"
        raise SynthError(
            f"the generator {shown(name)} cannot be read: {shorten(what, 120)}; copy its "
            "files there again, or give another folder"
        ) from error
    repo, _, revision = name.partition("@")
    if _HUB_ID.fullmatch(repo) is None:
        raise SynthError(
            f"no generator is named {shown(name)}, and there is no such folder; allowed: "
            f"{', '.join(generator_names())}, a diffusers folder, or org/name@<commit>"
        )
    if _COMMIT.fullmatch(revision) is None:
        raise SynthError(
            f"{name} has no full commit; the weights of a branch can change: use "
            f"{repo}@<40 hex digits>"
        )
    folder = _from_hub(repo, revision, is_gated=True)
    return _checked(folder, None, f"{repo}@{revision}")


def weights_sha256(folder: Path) -> str:
    """Return the sha256 of all safetensors files below a folder, by path and content.

    Raises:
        OSError: A file cannot be read.
    """
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*.safetensors")):
        # The hub's cache names files by their sha256, which saves hashing 26 GB (a minute).
        real = path.resolve()
        digest = real.name if _BLOB.fullmatch(real.name) else file_sha256(real)
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    return total.hexdigest()


def contents_sha256(folder: Path) -> str:
    """Return the sha256 of all files of a generator: weights, configurations, vocabularies.

    Raises:
        OSError: A file cannot be read.
    """
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
                raise SynthError(f"{folder / INDEX} has no {part}, which SD3.5 requires")
            missing.append(part)
            continue
        if kind not in allowed or library not in {"diffusers", "transformers"}:
            raise SynthError(
                f"{folder / INDEX} names {library}.{kind} as its {part}; allowed: "
                f"{', '.join(sorted(allowed))}"
            )
        if not (folder / part).is_dir():
            raise SynthError(f"{folder} does not have the folder {part} that its {INDEX} names")
        is_model = part in {"transformer", "vae"} or "encoder" in part
        if is_model and not any((folder / part).glob("*.safetensors")):
            raise SynthError(
                f"{folder / part} has no safetensors file; other formats can run code and are "
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
            f"{folder} is not a diffusers folder: {INDEX} cannot be read ({error})"
        ) from error
    kind = index.get("_class_name") if isinstance(index, dict) else None
    if not isinstance(index, dict) or not str(kind).startswith("StableDiffusion3"):
        raise SynthError(f"{folder} is a {kind}; allowed: StableDiffusion3Pipeline")
    return index


def _guessed(folder: Path) -> Preset:
    """Return the preset whose transformer has as many blocks as that of a folder."""
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
            f"the hub refused {repo}@{revision[:12]}{gate}; set HF_TOKEN to a token of an account "
            f"with access, or give a local folder ({type(error).__name__})"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise SynthError(
            f"{repo}@{revision[:12]} is not in the hub's cache and cannot be downloaded "
            f"({type(error).__name__}); connect to the internet, copy the cache of another machine "
            "(HF_HOME), or give a local folder"
        ) from error
