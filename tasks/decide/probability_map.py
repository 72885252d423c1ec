"""A map from logits to probabilities, as plain numbers that are stored and applied.

Forms:

- `platt`: sigmoid(a logit + b). Platt 1999, "Probabilistic outputs for support vector machines".
- `temperature`: sigmoid(logit / T). Guo et al. 2017, "On Calibration of Modern Neural Networks".
- `beta`: sigmoid(a ln p - b ln(1 - p) + c) with a, b >= 0, p the detector's own probability. Kull,
  Silva Filho and Flach 2017, "Beta calibration", AISTATS.
- `isotonic`: linear between knots that do not fall. Zadrozny and Elkan 2002, "Transforming
  classifier scores into accurate multiclass probability estimates".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit, logit

Method = Literal["platt", "temperature", "beta", "isotonic"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityMap:
    """A map from logits to probabilities.

    Attributes:
        method: Name of the method.
        weights: Platt: a, b. Temperature: 1 / T. Beta: a, b, c. Isotonic: none.
        at_logits: Isotonic: logits of the knots, ascending.
        probs: Isotonic: probabilities at the knots, not falling.
        prevalence: Share of fakes among the images of the fit, in (0, 1).
    """

    method: Method
    weights: tuple[float, ...] = ()
    at_logits: tuple[float, ...] = ()
    probs: tuple[float, ...] = ()
    prevalence: float

    def to_json(self) -> dict[str, Any]:
        """Return the map as JSON-ready values."""
        return asdict(self)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return the map of JSON values."""
        return cls(
            method=values["method"],
            weights=tuple(values["weights"]),
            at_logits=tuple(values["at_logits"]),
            probs=tuple(values["probs"]),
            prevalence=values["prevalence"],
        )

    def apply(self, logits: NDArray[Any], *, prevalence: float | None = None) -> Floats:
        """Return the probability of being fake for each logit.

        Args:
            logits: Logits, shape (N,); NaN gives NaN.
            prevalence: Share of fakes among the images, in (0, 1); None for that of the fit.

        Returns:
            Probabilities in [0, 1], shape (N,). Another prevalence shifts their logits by the
            difference of the prior log odds (Saerens, Latinne and Decaestecker 2002).
        """
        x = logits.astype(np.float64)
        if self.method == "isotonic":
            probs = np.interp(x, self.at_logits, self.probs)
        else:
            probs = expit(features_of(self.method, x) @ np.asarray(self.weights))
        if prevalence is None:
            return np.where(np.isnan(x), np.nan, probs)
        shift = logit(prevalence) - logit(self.prevalence)
        with np.errstate(divide="ignore"):
            shifted = expit(logit(probs) + shift)
        return np.where(np.isnan(x), np.nan, shifted)


def features_of(method: Method, x: Floats) -> Floats:
    """Return the features of a method's logistic regression, shape (N, weights)."""
    one = np.ones_like(x)
    if method == "platt":
        return np.stack([x, one], axis=1)
    if method == "temperature":
        return x[:, None]
    # ln p and -ln(1 - p) of the detector's own probability, exact also where p rounds to 0 or 1.
    return np.stack([log_expit(x), -log_expit(-x), one], axis=1)
