"""The gate against shortcuts: no dataset whose files tell its classes apart, unless allowed."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from ...data.errors import GateRefused
from ...data.store.lake import Lake
from ...data.vocabulary import Label
from ..proportion import Interval
from ..shortcuts.aligned import ENCODING, aligned_facts
from ..shortcuts.measure import FACTS, GATE_AUC, MIN_GROUPS, measure_shortcut
from .pinned import Pinned
from .rows import read_labels

_log = logging.getLogger(__name__)
# A laundered photo is neither what a camera wrote nor AI-generated.
_CLASSES = (Label.REAL.value, Label.FAKE.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortcutFigures:
    """AUC of a classifier that sees facts of the files only, with intervals of 95 %.

    Attributes:
        files: Figure for the files as they are in the lake; None with too few labelled images.
        aligned: Figure for the files encoded alike; None with too few labelled images.
        is_aligned: Whether the published files are encoded alike.
    """

    files: Interval | None
    aligned: Interval | None
    is_aligned: bool

    @property
    def published(self) -> Interval | None:
        """Figure for the files as they are published."""
        return self.aligned if self.is_aligned else self.files

    @property
    def is_above(self) -> bool:
        """Whether the published files tell the classes apart."""
        return self.published is not None and self.published.low > GATE_AUC

    def to_json(self) -> dict[str, Any]:
        """Return the figures as JSON-ready values."""
        return asdict(self)

    def sentences(self) -> list[str]:
        """Return the figures in words."""
        if self.files is None and self.aligned is None:
            return [
                f"Not measured: fewer than {MIN_GROUPS} labelled groups of images of one class."
            ]
        return [
            f"By file size, format, dimensions and compression of the files in the lake: AUC"
            f" {_text(self.files)}.",
            f"By the same after all images are encoded alike ({ENCODING}): AUC"
            f" {_text(self.aligned)}.",
        ]


def check_shortcuts(
    lake: Lake, pinned: Pinned, plan: pl.DataFrame, *, align: bool, allow: bool, seed: int
) -> ShortcutFigures:
    """Measure whether files tell the classes of a dataset apart, and refuse it if they do.

    Args:
        lake: Lake of the images.
        pinned: Table versions of the dataset.
        plan: Columns image_id and group_id of the images to publish.
        align: Whether the published files are encoded alike.
        allow: Whether to warn instead of refusing.
        seed: Seed of samples and folds.

    Raises:
        GateRefused: The lower limit of the AUC is above `GATE_AUC`.
        StoreError: The lake cannot be read.
    """
    rows = _labelled(lake, pinned, plan)
    files = measure_shortcut(rows, seed=seed)
    aligned = None
    if files is not None:
        encoded = aligned_facts(lake, rows, seed=seed, version=pinned.versions["images"])
        aligned = measure_shortcut(encoded, seed=seed)
    figures = ShortcutFigures(files=files, aligned=aligned, is_aligned=align)
    if not figures.is_above:
        return figures
    words = (
        "the files alone tell fake from real: a classifier that sees only"
        f" {'the size of files encoded alike' if align else 'file size, format and dimensions'}"
        f" has an AUC of {_text(figures.published)}; allowed: a lower limit of at most {GATE_AUC:g}"
    )
    if not allow:
        remedy = (
            "choose other images with --where"
            if align
            else f"encode all images alike with --align-encoding (AUC {_text(aligned)}), choose"
            " others with --where"
        )
        raise GateRefused(f"not published, since {words}; {remedy}, or pass --allow-shortcuts")
    _log.warning("%s; --allow-shortcuts lets it pass", words)
    return figures


def _labelled(lake: Lake, pinned: Pinned, plan: pl.DataFrame) -> pl.DataFrame:
    """Return the facts of the labelled images of a plan, with group_id and is_fake."""
    wanted = plan.lazy().select("image_id", "group_id")
    images = pinned.scan(lake, "images")
    facts = images.select("image_id", *FACTS).unique("image_id", keep="any")
    labels = read_labels(lake, pinned, wanted.select("image_id"))
    return (
        wanted.join(labels.filter(pl.col("label").is_in(_CLASSES)), on="image_id", how="inner")
        .join(facts, on="image_id", how="inner")
        .select("image_id", "group_id", *FACTS, is_fake=pl.col("label") == Label.FAKE.value)
        .sort("image_id")
        .collect()
    )


def _text(found: Interval | None) -> str:
    if found is None:
        return "not measured"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
