"""Quantised weights of a checkpoint on this machine: where they lie, and whether they are whole.

`quantise` makes them, from a lake's own pictures; here they are only found and checked.
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
    """An OpenVINO model in 8-bit integers.

    Attributes:
        model: File of its graph; the weights lie beside it.
        graph: Bytes of that file, as they were hashed.
        weights: Bytes of the other.
        sha256: Hash of both files.
        n_images: Pictures that its ranges were measured on.
        image_ids: Which, where they are known: no figure of its drift may come from them.
    """

    model: Path
    graph: bytes = field(repr=False)
    weights: bytes = field(repr=False)
    sha256: str
    n_images: int
    image_ids: tuple[str, ...] = ()

    @property
    def precision(self) -> str:
        """As in `scores.precision`: other ranges give other scores."""
        return f"int8@{self.sha256[:12]}"


def quantised_folder(weights_sha256: str, profile: Profile) -> Path:
    """Where the quantised weights of a checkpoint under a profile lie on this machine."""
    return cache_folder("int8", f"{weights_sha256[:16]}-{profile.name}")


def find_quantised(weights_sha256: str, profile: Profile, *, detector: str) -> Quantised:
    """Return the quantised weights of a checkpoint, checked against their hash.

    The last ones stay in memory: as long as no file changes, they are read and hashed once.

    Args:
        weights_sha256: Hash of the checkpoint's own weights.
        profile: Preprocessing that they were quantised under.
        detector: Name that the checkpoint was asked for by, for messages.

    Raises:
        ModelError: There are none on this machine, or their description cannot be read.
        UntrustedWeights: They are not the ones that were made, or are of other weights.
    """
    folder = quantised_folder(weights_sha256, profile)
    options = ["--detector", detector, "--profile", profile.name, "--lake", "LAKE"]
    again = f"make them with: {shlex.join(['assay', 'models', 'quantise', *options])}"
    try:
        files = [(folder / name).stat() for name in (FACTS, MODEL, WEIGHTS)]
        state = tuple((of.st_size, of.st_mtime_ns, of.st_ctime_ns, of.st_ino) for of in files)
        with _READING:
            found, stated, source = _read(folder, state)
    except FileNotFoundError as error:
        raise ModelError(
            f"there are no int8 weights of this detector under {profile.name} on this machine"
            f" ({folder}); {again}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} cannot be read ({error}); {again}") from error
    if found.sha256 != stated or source != weights_sha256:
        raise UntrustedWeights(
            f"{folder} has sha256 {found.sha256}, made was {stated} of weights {source}; {again}"
        )
    return found


@functools.lru_cache(maxsize=1)
def _read(folder: Path, _state: object) -> tuple[Quantised, str, str]:
    """The model, the hash that was stated of it, and that of the weights it was made from."""
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    stated, source, n_images = facts["sha256"], facts["weights_sha256"], facts["n_images"]
    image_ids = tuple(map(str, facts.get("image_ids", ())))
    graph, weights = (folder / MODEL).read_bytes(), (folder / WEIGHTS).read_bytes()
    found = Quantised(
        model=folder / MODEL,
        graph=graph,
        weights=weights,
        sha256=_sha256(graph, weights),
        n_images=int(n_images),
        image_ids=image_ids,
    )
    return found, stated, source


def files_sha256(folder: Path) -> str:
    """Return the hash of graph and weights together."""
    return _sha256((folder / MODEL).read_bytes(), (folder / WEIGHTS).read_bytes())


def _sha256(graph: bytes, weights: bytes) -> str:
    digest = hashlib.sha256(graph)
    digest.update(weights)
    return digest.hexdigest()
