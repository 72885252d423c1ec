"""Quantised weights of a checkpoint on this machine: where they lie, and whether they are whole.

`quantise` makes them, from a lake's own pictures; here they are only found and checked.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ....data.cache import cache_folder
from ....data.errors import ModelError, UntrustedWeights
from ..inputs.profiles import Profile

MODEL: Final = "model.xml"
WEIGHTS: Final = "model.bin"
FACTS: Final = "quantised.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantised:
    """An OpenVINO model in 8-bit integers.

    Attributes:
        model: Its graph; the weights lie beside it.
        sha256: Of both files.
        n_images: Pictures that its ranges were measured on.
        image_ids: Which, where they are known: no figure of its drift may come from them.
    """

    model: Path
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
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        stated, source, n_images = facts["sha256"], facts["weights_sha256"], facts["n_images"]
        image_ids = tuple(map(str, facts.get("image_ids", ())))
        found = files_sha256(folder)
    except FileNotFoundError as error:
        raise ModelError(
            f"there are no int8 weights of this detector under {profile.name} on this machine"
            f" ({folder}); {again}"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} cannot be read ({error}); {again}") from error
    if found != stated or source != weights_sha256:
        raise UntrustedWeights(
            f"{folder} has sha256 {found}, made was {stated} of weights {source}; {again}"
        )
    return Quantised(
        model=folder / MODEL, sha256=found, n_images=int(n_images), image_ids=image_ids
    )


def files_sha256(folder: Path) -> str:
    """Hash of graph and weights together."""
    digest = hashlib.sha256()
    for name in (MODEL, WEIGHTS):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
