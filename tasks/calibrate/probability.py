"""Fits of the maps from logits to probabilities; cross-validated log loss chooses one.

The forms and their sources are those of `decide.probability_map`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from ...data.text.wording import counted
from ..decide.probability_map import Floats, Method, ProbabilityMap, features_of

N_FOLDS: Final = 5
# Smallest number of images of each class; with fewer, a fold would have next to none.
MIN_PER_CLASS: Final = 20
# Fits are all but unregularised; separable classes would otherwise give infinite weights.
_INVERSE_PENALTY: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The chosen map, and what cross-validation measured.

    Attributes:
        map: Map fitted on all images.
        log_losses: Cross-validated log loss per method.
        held_out_probs: Probability of each image by the chosen method, fitted without its fold.
    """

    map: ProbabilityMap
    log_losses: dict[str, float]
    held_out_probs: Floats


def fit_probabilities(logits: NDArray[Any], is_fake: NDArray[np.bool_], *, seed: int = 0) -> Fitted:
    """Fit all methods, and choose the one with the lowest cross-validated log loss.

    Args:
        logits: Logits, finite, one per group of copies, shape (N,).
        is_fake: Labels, shape (N,), at least `MIN_PER_CLASS` of each.
        seed: Seed of the folds.

    Raises:
        ValueError: A class has too few images.
    """
    x = logits.astype(np.float64)
    n_least = int(min(is_fake.sum(), (~is_fake).sum()))
    if n_least < MIN_PER_CLASS:
        raise ValueError(
            f"{counted(n_least, 'image')} of one class; allowed: {MIN_PER_CLASS} or more"
        )
    folds = list(
        StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed).split(x[:, None], is_fake)
    )
    held_out: dict[Method, Floats] = {}
    for method in _FITS:
        probs = np.empty(len(x))
        for train, test in folds:
            probs[test] = _fit(method, x[train], is_fake[train]).apply(x[test])
        held_out[method] = probs
    losses = {method: float(log_loss(is_fake, probs)) for method, probs in held_out.items()}
    best = min(losses, key=lambda method: losses[method])
    return Fitted(
        map=_fit(best, x, is_fake),
        log_losses={str(method): loss for method, loss in losses.items()},
        held_out_probs=held_out[best],
    )


def _fit(method: Method, x: Floats, is_fake: NDArray[np.bool_]) -> ProbabilityMap:
    return _FITS[method](x, is_fake)


def _logistic(features: Floats, is_fake: NDArray[np.bool_]) -> Floats:
    """Return the weights of a logistic regression without an intercept of its own."""
    model = LogisticRegression(
        C=_INVERSE_PENALTY, fit_intercept=False, tol=1e-8, max_iter=1_000
    ).fit(features, is_fake)
    weights: Floats = model.coef_[0]
    return weights


def _platt(x: Floats, is_fake: NDArray[np.bool_]) -> ProbabilityMap:
    a, b = _logistic(features_of("platt", x), is_fake)
    return ProbabilityMap(
        method="platt", weights=(float(a), float(b)), prevalence=float(is_fake.mean())
    )


def _temperature(x: Floats, is_fake: NDArray[np.bool_]) -> ProbabilityMap:
    (scale,) = _logistic(features_of("temperature", x), is_fake)
    return ProbabilityMap(
        method="temperature", weights=(float(scale),), prevalence=float(is_fake.mean())
    )


def _beta(x: Floats, is_fake: NDArray[np.bool_]) -> ProbabilityMap:
    features = features_of("beta", x)
    a, b, c = _logistic(features, is_fake)
    # A negative weight would let the probability fall; Kull et al. fit again without its feature.
    if a < 0 <= b:
        a = 0.0
        b, c = _logistic(features[:, 1:], is_fake)
    elif b < 0 <= a:
        b = 0.0
        a, c = _logistic(features[:, [0, 2]], is_fake)
    return ProbabilityMap(
        method="beta",
        weights=(max(float(a), 0.0), max(float(b), 0.0), float(c)),
        prevalence=float(is_fake.mean()),
    )


def _isotonic(x: Floats, is_fake: NDArray[np.bool_]) -> ProbabilityMap:
    # Without limits a held-out image of the other class would have an infinite log loss.
    least = 1 / (2 * len(x))
    model = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(x, is_fake)
    return ProbabilityMap(
        method="isotonic",
        at_logits=tuple(map(float, model.X_thresholds_)),
        probs=tuple(map(float, model.y_thresholds_)),
        prevalence=float(is_fake.mean()),
    )


_FITS: Final[dict[Method, Callable[[Floats, NDArray[np.bool_]], ProbabilityMap]]] = {
    "platt": _platt,
    "temperature": _temperature,
    "beta": _beta,
    "isotonic": _isotonic,
}
