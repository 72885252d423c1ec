"""Maps of one image of a run: where the network attends, as a cell, as a PNG and as values."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ...tasks.detector.inputs.profiles import Profile, profile_names
from ...tasks.detector.weights.checkpoint import Checkpoint, chosen_profile, find_checkpoint
from ...tasks.detector.weights.locate import has_name
from ...tasks.explain.explain import CAVEAT, Explanation, explain
from ...tasks.explain.heatmap import draw_heatmap
from ...tasks.pages.captions import score_text
from ...tasks.pages.environment import environment
from ...tasks.pages.thumbnails import thumbnail

_MAP_PX: Final = 1248
_MAP_BYTES: Final = 120_000


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """Score of one image, and two maps over the scored square.

    Attributes:
        image_id: Id of the image.
        explanation: Logit, maps and square.
    """

    image_id: str
    explanation: Explanation

    def __repr__(self) -> str:
        return f"<Explained {self.image_id[:12]}: score {score_text(self.explanation.prob_fake)}>"

    def png(self) -> bytes:
        """Return the drawing of `assay explain`: the square and both maps."""
        return draw_heatmap(self.explanation)

    def to_json(self) -> dict[str, Any]:
        """Return the score and the regions of largest attribution as plain values."""
        return {"image_id": self.image_id} | self.explanation.to_json()

    def _repr_html_(self) -> str:
        drawn = thumbnail(self.png(), max_px=_MAP_PX, max_bytes=_MAP_BYTES)
        regions = ", ".join(
            "x {0}-{2}, y {1}-{3}".format(*patch["box_px"]) + f" ({patch['share']:.1%})"
            for patch in self.explanation.top_patches(3)
        )
        template = environment(Path(__file__).parent).get_template("explained.html.jinja")
        return template.render(
            title=f"image {self.image_id[:12]}",
            note=f"score {score_text(self.explanation.prob_fake)},"
            f" logit {self.explanation.logit:+.3f} by {self.explanation.detector_id}",
            map=drawn,
            alt=f"Attention maps. Largest attribution to {self.explanation.towards}: {regions}",
            caveat=CAVEAT,
        )


def explain_image(
    lake: Lake, image_id: str, key: ScoreKey, *, detector: str | None = None
) -> Explained:
    """Return the maps of an image under the detector and the preprocessing of its score.

    Args:
        lake: Lake of the image.
        image_id: Id of the image.
        key: Key of the score.
        detector: Folder of the detector, which the tables do not name; None for a detector that
            has a name.

    Raises:
        ConfigError: The detector is in a folder that is not given, or is no ViT.
        ModelError: The weights cannot be obtained.
    """
    checkpoint = find_checkpoint(detector or _name_of(key.detector))
    if checkpoint.weights_sha256 != key.weights_sha256:
        raise ConfigError(
            f"the weights of {checkpoint.detector_id} have the hash"
            f" {checkpoint.weights_sha256[:12]}, those of the score {key.weights_sha256[:12]};"
            " pass the detector that scored, detector=FOLDER"
        )
    profile = _profile(checkpoint, key)
    return Explained(image_id, explain(lake.image(image_id), checkpoint, profile))


def _name_of(detector_id: str) -> str:
    name = detector_id.partition("@")[0]
    if "/" in detector_id:
        return detector_id
    if has_name(name):
        return name
    raise ConfigError(
        f"the tables do not record the folder of the detector {detector_id}; pass it:"
        " .explain(row, detector=FOLDER)"
    )


def _profile(checkpoint: Checkpoint, key: ScoreKey) -> Profile:
    """Return the profile of the score, else the checkpoint's own."""
    if checkpoint.profile.describe() == key.profile:
        return checkpoint.profile
    others = (chosen_profile(name, checkpoint) for name in profile_names())
    return next((one for one in others if one.describe() == key.profile), checkpoint.profile)
