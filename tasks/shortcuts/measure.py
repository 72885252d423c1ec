"""How well a classifier that sees no content tells fake images from real ones. Pure functions.

It sees facts of the files: size in bytes, format, dimensions, compression. It is cross-validated by
group of near-duplicates. An area under the ROC curve (AUC) of 0.5 is chance; a lower limit above
`GATE_AUC` means that a model trained on the dataset can score well by the files alone.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold

from ..proportion import Interval

GATE_AUC: Final = 0.6
MIN_GROUPS: Final = 30
"""Groups of each class from which the figure is measured; with fewer it says next to nothing."""
MAX_ROWS: Final = 20_000
FACTS: Final = ("n_bytes", "width_px", "height_px", "jpeg_quality", "format")
_N_FOLDS: Final = 5
_N_RESAMPLES: Final = 200


def measure_shortcut(rows: pl.DataFrame, *, seed: int = 0) -> Interval | None:
    """Return the AUC of the classifier with its interval of 95 %.

    Args:
        rows: Columns of `FACTS` (nulls allowed), group_id and is_fake; one row per image. Of more
            than `MAX_ROWS`, that many are drawn.
        seed: Seed of the draw, the folds and the bootstrap.

    Returns:
        The AUC over held-out predictions and its limits by a bootstrap over groups; None if a
        class has fewer than `MIN_GROUPS` groups.
    """
    groups = rows.group_by("is_fake").agg(pl.col("group_id").n_unique()).rows()
    if len(groups) < 2 or min(n for _, n in groups) < MIN_GROUPS:
        return None
    rows = rows.sample(min(rows.height, MAX_ROWS), shuffle=True, seed=seed)
    is_fake = rows["is_fake"].to_numpy()
    group = rows["group_id"].rank("dense").to_numpy().astype(np.int64) - 1
    features = _features(rows)
    scores = np.empty(len(is_fake))
    folds = StratifiedGroupKFold(_N_FOLDS, shuffle=True, random_state=seed)
    for train, test in folds.split(features, is_fake, group):
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
        ).fit(features[train], is_fake[train])
        scores[test] = model.predict_proba(features[test])[:, 1]
    drawn = _resampled_aucs(scores, is_fake, group, seed)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value=auc(scores, is_fake), low=float(low), high=float(high))


def auc(scores: NDArray[np.float64], is_fake: NDArray[np.bool_]) -> float:
    """Return the probability that a fake has a higher score than a real; ties count half.

    Args:
        scores: Scores, shape (N,).
        is_fake: Labels, shape (N,), with both classes.
    """
    n_fakes = int(is_fake.sum())
    n_reals = len(is_fake) - n_fakes
    ranks = rankdata(scores)[is_fake].sum()
    return float((ranks - n_fakes * (n_fakes + 1) / 2) / (n_fakes * n_reals))


def _features(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Return the facts as numbers, shape (N, 7); missing ones are NaN, formats are numbered."""
    n_bytes, width_px, height_px, quality = (pl.col(name).cast(pl.Float64) for name in FACTS[:4])
    return rows.select(
        n_bytes=n_bytes,
        width_px=width_px,
        height_px=height_px,
        aspect=width_px / height_px,
        bytes_per_pixel=n_bytes / (width_px * height_px),
        jpeg_quality=quality,
        format=pl.col("format").rank("dense").cast(pl.Float64),
    ).to_numpy()


def _resampled_aucs(
    scores: NDArray[np.float64], is_fake: NDArray[np.bool_], group: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Return the AUC of bootstrap samples of whole groups, each of both classes."""
    rng = np.random.default_rng(seed)
    n_groups = int(group.max()) + 1
    found: list[float] = []
    while len(found) < _N_RESAMPLES:
        times = np.bincount(rng.integers(0, n_groups, n_groups), minlength=n_groups)[group]
        index = np.repeat(np.arange(len(group)), times)
        if 0 < is_fake[index].sum() < len(index):
            found.append(auc(scores[index], is_fake[index]))
    return np.array(found)
