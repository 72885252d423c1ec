"""`assay.Detector`: a detector to call, without a lake and without a server."""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from .. import progress
from ..inputs.image_items import items_of
from ..judging import detector_of, identity_of
from ..request import Request
from ..settings.faces import DetectorKeywords
from ..settings.resolve import request_of
from .signatures import require_known, show_settings
from .stopped import told_when_stopped

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from ...data.score_key import ScoreKey
    from ...tasks.detector.weights.registry import DetectorCard
    from ..inputs.kinds import Images


class Detector:
    """A detector to call: images in, probabilities out; loaded once, at the first call.

    `images` is whatever `assay.score` takes. A result has one row per image, in their order; an
    image that cannot be read is NaN, and `score` says why. Detectors of equal settings share one
    network in a process.

    Args:
        name: Registered name such as "mini", `org/name@<40-hex revision>`, or folder
            [default: the setting `detector`].
        **settings: Settings of the detector, as below.

    Raises:
        ConfigError: A setting does not exist, or a value is not allowed.
        ModelError: The weights cannot be obtained or cannot be trusted.

    Examples:
        >>> import numpy as np
        >>> import assay
        >>> detect = assay.Detector("mini")
        >>> images = np.random.default_rng(0).integers(0, 256, (2, 480, 480, 3), dtype=np.uint8)
        >>> probabilities = detect(images)
        >>> probabilities.shape, probabilities.dtype
        ((2,), dtype('float32'))
        >>> detect.embeddings(images).shape
        (2, 192)
        >>> detect.name, detect.card.weights_licence
        ('mini', 'Apache-2.0')
    """

    def __init__(
        self, name: str | PathLike[str] | None = None, **settings: Unpack[DetectorKeywords]
    ) -> None:
        require_known(dict(settings), DetectorKeywords)
        named: dict[str, Any] = {} if name is None else {"detector": name}
        self._request: Request = request_of(**settings, **named)
        self._identity = identity_of(self._request)

    def __repr__(self) -> str:
        return f"<assay.Detector {self._identity.key.describe()}>"

    def __call__(self, images: Images | Iterator[Any]) -> NDArray[np.float32]:
        """Return the probabilities that images are AI-generated, shape (N,), in [0, 1] or NaN."""
        return self._numbers(images, "prob_fake")

    def logits(self, images: Images | Iterator[Any]) -> NDArray[np.float32]:
        """Return the logits of images, shape (N,), positive for AI-generated; NaN for none."""
        return self._numbers(images, "logit")

    def embeddings(self, images: Images | Iterator[Any]) -> NDArray[np.float32]:
        """Return the embeddings of images, shape (N, D); D is 0 for a detector without them."""
        import numpy as np

        return np.asarray(self.score(images)["embedding"].to_numpy(), dtype=np.float32)

    def score(self, images: Images | Iterator[Any], *, quiet: bool = True) -> pl.DataFrame:
        """Return one row per image; see `assay.score` for the columns.

        Args:
            images: Images as `assay.score` takes them.
            quiet: Whether to hide progress.

        Raises:
            InputError: The source does not exist, a list is empty, or an array is no image.
            TypeError: A value is of another kind.
        """
        from .score_frame import scored_frame

        options = self._request.source_options
        with told_when_stopped():
            items = items_of(images, options)
            with progress.watched(progress.for_terminal(quiet=quiet)):
                return scored_frame(
                    detector_of(self._request), items, options, n_workers=self._request.n_workers
                )

    @property
    def name(self) -> str:
        """Name, hub id or folder that it was requested by."""
        return self._request.detector

    @property
    def key(self) -> ScoreKey:
        """Key of its scores: detector with revision, hash of the weights, profile, precision."""
        return self._identity.key

    @property
    def card(self) -> DetectorCard | None:
        """Card with licences, limits and published figures; None if it is not registered."""
        from ...tasks.detector.weights.checkpoint import find_checkpoint

        return find_checkpoint(self.name, positive=self._request.positive).card

    def _numbers(self, images: Images | Iterator[Any], column: str) -> NDArray[np.float32]:
        import numpy as np

        scores = self.score(images)[column].fill_null(float("nan"))
        return np.asarray(scores.to_numpy(), dtype=np.float32)


show_settings(Detector, DetectorKeywords)
