"""`assay.score(...)`: scores and embeddings of images as a frame, without a lake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Unpack

from ..settings.faces import ScoreImagesKeywords
from .detector import Detector
from .signatures import require_known, show_settings

if TYPE_CHECKING:
    import polars as pl

    from ..inputs.kinds import Images


def score(
    images: Images | Iterator[Any],
    *,
    quiet: bool = False,
    **settings: Unpack[ScoreImagesKeywords],
) -> pl.DataFrame:
    """Score images without a lake, and return a frame with one row per image in their order.

    Logits are those of a run over the same images. An image that cannot be read or decoded is a row
    with a reason. A setting that is not given is taken from the `ASSAY_*` variables, then from
    `assay.toml`, then from the defaults.

    Args:
        images: Pillow images, uint8 arrays (height, width, channels), encoded bytes, paths and URLs
            of images, or a list of these; a generator of such images; a frame of polars, pandas or
            pyarrow with an image or path column; a `datasets.Dataset`; the path of a folder,
            archive or table, or a glob.
        quiet: Whether to hide progress.
        **settings: Settings of the detector and of reading, as below.

    Returns:
        Columns row (from 0), source_uri, image_id, status ("scored" or "failed"), reason, detail,
        logit, prob_fake, and embedding, an array of fixed width whose `to_numpy()` is a matrix
        (N, D), NaN in rows that failed.

    Raises:
        ConfigError: A setting does not exist, or a value is not allowed.
        InputError: The source does not exist, a list is empty, or an array is no image.
        ModelError: The weights cannot be obtained or cannot be trusted.
        TypeError: A value is of another kind.

    Examples:
        >>> import numpy as np
        >>> import assay
        >>> grey = np.full((480, 640), 128, dtype=np.uint8)
        >>> frame = assay.score([grey, b"no image"], detector="mini", quiet=True)
        >>> frame["status"].to_list(), frame["reason"].to_list()
        (['scored', 'failed'], [None, 'not_an_image'])
        >>> frame["embedding"].dtype
        Array(Float32, shape=(192,))
    """
    require_known(dict(settings), ScoreImagesKeywords)
    own: dict[str, Any] = dict(settings)
    return Detector(own.pop("detector", None), **own).score(images, quiet=quiet)


show_settings(score, ScoreImagesKeywords)
