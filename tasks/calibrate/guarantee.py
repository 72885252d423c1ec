"""The guarantee of a threshold, as a text and as numbers.

Two kinds. `fpr=1%@95%`: with 95 % confidence over the calibration images, at most 1 % of real
images are flagged. `fdr=10%`: of the images flagged in one batch, at most 10 % are real on average.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from ...data.errors import ConfigError
from ...data.text.wording import counted

_FORM: Final = re.compile(
    r"(?P<kind>fpr|fdr)=(?P<level>[0-9.]+)(?P<level_unit>%?)"
    r"(?:@(?P<confidence>[0-9.]+)(?P<confidence_unit>%?))?"
)
_ALLOWED: Final = "fpr=1%@95% (level and confidence) or fdr=10%, each above 0 % and below 100 %"
_CONFIDENCE: Final = 0.95

MIXTURE: Final = (
    "It is about the mixture of all domains among these, not about each domain by itself."
)
LIMITS: Final = (
    "None of this holds for images of another source or domain, for images that were encoded anew,"
    " or once the sources change: calibrate again then."
)
"""For which images no guarantee holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """A guarantee on the flags.

    Attributes:
        kind: `fpr`: share of the real images that are flagged; `fdr`: share of the flagged images
            of a batch that are real.
        level: Largest share, in (0, 1).
        confidence: Probability over the calibration images with which `fpr` holds, in (0, 1);
            None for `fdr`, which bounds an average.
    """

    kind: Literal["fpr", "fdr"]
    level: float
    confidence: float | None

    def __str__(self) -> str:
        text = f"{self.kind}={100 * self.level:g}%"
        return text if self.confidence is None else f"{text}@{100 * self.confidence:g}%"

    def sentence(self, reals: str) -> str:
        """Return the guarantee in numbers of images.

        Args:
            reals: Name of the real images that it rests on.
        """
        of, most = _whole_numbers(self.level)
        are = "is" if most == 1 else "are"
        if self.confidence is None:
            return (
                f"Of {counted(of, 'image')} flagged in a batch, at most {most:,} on average"
                f" {are} real, where its real images are like {reals}."
            )
        return (
            f"Of {counted(of, 'real image')} like {reals}, at most {most:,} on average {are}"
            f" flagged by the score; this holds with {100 * self.confidence:g} % confidence."
        )

    def of_all(self, n_reals: int) -> str:
        """Return the guarantee of thresholds that all domains share.

        Args:
            n_reals: Number of real images that it rests on.
        """
        return f"{self.sentence(f'the {n_reals:,} calibrated on')} {MIXTURE}"


def guarantee_of(text: str) -> Guarantee:
    """Return the guarantee of a text such as `fpr=1%@95%`, `fpr=0.01` or `fdr=10%`.

    Args:
        text: Kind, level and, for `fpr`, confidence [default: 95 %].

    Raises:
        ConfigError: The text has another form, or a number is out of range.
    """
    found = _FORM.fullmatch(text.replace(" ", ""))
    if found is None:
        raise ConfigError(f"guarantee {text!r}; allowed: {_ALLOWED}")
    level = _share(found["level"], found["level_unit"])
    confidence = _share(found["confidence"], found["confidence_unit"])
    is_fpr = found["kind"] == "fpr"
    if found["confidence"] is None:
        confidence = _CONFIDENCE if is_fpr else None
    elif not is_fpr:
        raise ConfigError(f"guarantee {text!r}: fdr bounds an average and has no confidence")
    if level is None or (is_fpr and confidence is None):
        raise ConfigError(f"guarantee {text!r}; allowed: {_ALLOWED}")
    return Guarantee(
        kind="fpr" if is_fpr else "fdr", level=level, confidence=confidence if is_fpr else None
    )


def _whole_numbers(level: float) -> tuple[int, int]:
    """Return a number of images and how many of them a share is: 100 and 5, or 1,000 and 1."""
    of = 100
    while abs(level * of - round(level * of)) > 1e-9 and of < 10_000:
        of *= 10
    return of, math.ceil(level * of - 1e-9)


def _share(number: str | None, unit: str | None) -> float | None:
    """Return a share in (0, 1) from its text; None if it is no such number."""
    try:
        share = float(number or "") / (100 if unit else 1)
    except ValueError:
        return None
    return share if 0 < share < 1 else None
