"""Store of a checkpoint's quantised weights on this machine: their folder and their checks.

`quantise` makes them from a lake's images; this module finds and checks them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import shlex
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ....data.cache import cache_folder
from ....data.errors import ModelError, UntrustedWeights
from ..inputs.profiles import Profile

MODEL: Final = "model.xml"
WEIGHTS: Final = "model.bin"
FACTS: Final = "quantised.json"

_READING: Final = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """OpenVINO model in 8-bit integers.

    Attributes:
        model: Path of its graph; the weights are beside it.
        graph: Bytes of the graph file, which were hashed.
        weights: Bytes of the weights file.
        sha256: Hash of both files.
        n_images: Number of images that its ranges were measured on.
        image_ids: Ids of these images, where known; drift must not be measured on them.
    """

    model: Path
    graph: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    sha256: str
    n_images: int
    image_ids: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """Precision as in `scores.precision`, with the hash, since other ranges score otherwise."""
        return f"int8@{self.sha256[:12]}"


def quantised_folder(weights_sha256: str, profile: Profile) -> Path:
    """Return the folder of a checkpoint's quantised weights under a profile on this machine."""
    return cache_folder("int8", f"{weights_sha256[:16]}-{profile.name}")


def find_quantised(weights_sha256: str, profile: Profile, *, detector: str) -> Quantised:
    """Return the quantised weights of a checkpoint, checked against their hash.

    The last ones stay in memory: while no file changes, they are read and hashed once.

    Args:
        weights_sha256: Hash of the checkpoint's own weights.
        profile: Preprocessing profile that they were quantised under.
        detector: Name of the checkpoint in messages.

    Raises:
        ModelError: This machine has no such weights, or their description cannot be read.
        UntrustedWeights: The files changed since they were made, or come from other weights.
    """
    folder = quantised_folder(weights_sha256, profile)
    options = ["--detector", detector, "--profile", profile.name, "--lake", "LAKE"]
    again = f"make them with: {shlex.join(['assay', 'models', 'quantise', *options])}"
    try:
        files = [(folder / name).stat() for name in (FACTS, MODEL, WEIGHTS)]
        state = tuple((of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for of in files)
        with _READING:
            quantised, stated, source = _read(folder, state)
    except FileNotFoundError as error:
        raise ModelError(
            f"there are no int8 weights of this detector under {profile.name} on this machine"
            f" ({folder}); {again}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} cannot be read ({error}); {again}") from error
    if quantised.sha256 != stated or source != weights_sha256:
        raise UntrustedWeights(
            f"{folder} has sha256 {quantised.sha256} and comes from weights {source}; expected"
            f" {stated} from weights {weights_sha256}; {again}"
        )
    return quantised


@functools.lru_cache(maxsize=1)
def _read(folder: Path, _state: object) -> tuple[Quantised, str, str]:
    """Read the model, its stated hash, and the hash of the weights that it was made from."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    stated, source, n_images = facts["sha256"], facts["weights_sha256"], facts["n_images"]
    image_ids = tuple(map(str, facts.get("image_ids", ())))
    graph, weights = (folder / MODEL).read_bytes(), (folder / WEIGHTS).read_bytes()
    quantised = Quantised(
        model=folder / MODEL,
        graph=graph,
        weights=weights,
        sha256=_sha256(graph, weights),
        n_images=int(n_images),
        image_ids=image_ids,
    )
    return quantised, stated, source


def files_sha256(folder: Path) -> str:
    """Return the hash of a folder's graph and weights files together."""
    return _sha256((folder / MODEL).read_bytes(), (folder / WEIGHTS).read_bytes())


def _sha256(graph: bytes, weights: bytes) -> str:
    digest = hashlib.sha256(graph)
    digest.update(weights)
    return digest.hexdigest()
