"""A calibration: the scores of labelled real images, and what is derived from them.

It is kept in the table `calibrations`, one row for the pooled images and one per domain, and known
by a hash of its content. A policy names it by `calibration`; decisions get `p_real` and
`prob_calibrated` from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.errors import ConfigError
from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from .conformal import p_values
from .embedding_domain import EmbeddingDomain
from .probability_map import ProbabilityMap

POOLED: Final = None
"""Domain of the reals of all domains together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Scores of labelled real images under one score key, and a map to probabilities.

    Attributes:
        key: Key of the scores.
        guarantee: Guarantee that the thresholds give, such as `fpr=1%@95%`.
        real_logits: Logits of the reals, ascending float32, one per group of copies, by domain;
            under None those of all domains together.
        map: Map from logits to probabilities; None if it could not be fitted.
        prevalence: Share of fakes that probabilities refer to; None for that of the labels.
        facts: Measures for people and cards, as JSON-ready values.
        embeddings: Embeddings of labelled images, by domain as the logits; empty for calibrations
            of earlier versions and for detectors without embeddings.
    """

    key: ScoreKey
    guarantee: str
    real_logits: Mapping[str | None, NDArray[np.float32]]
    map: ProbabilityMap | None
    prevalence: float | None
    facts: Mapping[str, Any]
    embeddings: Mapping[str | None, EmbeddingDomain] = field(default_factory=dict)

    @property
    def calibration_id(self) -> str:
        """Identity of the content: `c-` and 12 hexadecimal digits of its SHA-256."""
        content = hashlib.sha256(
            json.dumps([self.key.as_row(), self.guarantee, self._plain_map()]).encode()
        )
        for domain, logits in sorted(self.real_logits.items(), key=lambda pair: pair[0] or ""):
            content.update(json.dumps([domain, len(logits)]).encode())
            content.update(logits.astype("<f4").tobytes())
            # Calibrations without embeddings keep the ids that earlier versions gave them.
            if (near := self.embeddings.get(domain)) is not None:
                content.update(json.dumps(near.references.shape).encode())
                content.update(near.references.astype("<f4").tobytes())
                content.update(near.real_distances.astype("<f4").tobytes())
        return f"c-{content.hexdigest()[:12]}"

    def _plain_map(self) -> dict[str, Any]:
        return {
            "map": None if self.map is None else self.map.to_json(),
            "prevalence": self.prevalence,
        }

    def reals_for(self, domain: str | None) -> NDArray[np.float32]:
        """Return the reals that an image of a domain is compared with: its own, else all."""
        own = self.real_logits.get(domain)
        return self.real_logits[POOLED] if own is None else own

    def embeddings_for(self, domain: str | None) -> EmbeddingDomain:
        """Return the embeddings that an image of a domain is compared with: its own, else all.

        Raises:
            KeyError: The calibration has no embeddings.
        """
        own = self.embeddings.get(domain)
        return self.embeddings[POOLED] if own is None else own

    def with_columns(self, scores: pl.DataFrame) -> pl.DataFrame:
        """Return scores with their p-values and calibrated probabilities.

        Args:
            scores: Columns logit (float32; null or not finite: no score) and domain.

        Returns:
            The same rows in the same order with `p_real` and `prob_calibrated` (float32, null
            without a score).
        """
        logits = scores["logit"].cast(pl.Float32).fill_null(np.nan).to_numpy()
        logits = np.where(np.isfinite(logits), logits, np.float32("nan"))
        p_real = p_values(logits, self.real_logits[POOLED])
        domains = scores["domain"].cast(pl.String)
        for domain, reals in self.real_logits.items():
            if domain is not POOLED and (is_in := (domains == domain).fill_null(value=False)).any():
                rows = is_in.to_numpy()
                p_real[rows] = p_values(logits[rows], reals)
        probs = (
            np.full(len(logits), np.nan)
            if self.map is None
            else self.map.apply(logits, prevalence=self.prevalence)
        )
        return scores.with_columns(
            p_real=pl.Series(p_real, dtype=pl.Float32).fill_nan(None),
            prob_calibrated=pl.Series(probs, dtype=pl.Float32).fill_nan(None),
        )


def store_calibration(lake: Lake, calibration: Calibration) -> str:
    """Write a calibration to the lake unless it is there, and return its id.

    Raises:
        StoreError: The lake cannot be written.
    """
    name = calibration.calibration_id
    facts = json.dumps({**calibration.facts, **calibration._plain_map()})
    rows = [
        {
            "calibration_id": name,
            **calibration.key.as_row(),
            "guarantee": calibration.guarantee,
            "domain": domain,
            "real_logits": logits.tolist(),
            **_embedding_columns(calibration.embeddings.get(domain)),
            "facts": facts,
            "created_at": datetime.now(UTC),
        }
        for domain, logits in calibration.real_logits.items()
    ]
    lake.append("calibrations", rows, txn=f"calibrate:{name}")
    return name


def find_calibration(lake: Lake, calibration_id: str) -> Calibration:
    """Return a calibration of the lake.

    Raises:
        ConfigError: The lake has no calibration of that id.
        StoreError: The lake cannot be read.
    """
    rows = (
        lake.scan("calibrations")
        .filter(pl.col("calibration_id") == calibration_id)
        .unique("domain", keep="any")
        .collect()
    )
    if rows.is_empty():
        known = (
            lake.scan("calibrations")
            .sort("created_at", descending=True)
            .select("calibration_id")
            .unique(maintain_order=True)
            .head(5)
            .collect()["calibration_id"]
        )
        raise ConfigError(
            f"the policy names the calibration {calibration_id!r}, which {lake.uri} does not have;"
            f" it has: {', '.join(known) or 'none'}. Run `assay calibrate` on this lake, or remove"
            " `calibration` from the policy"
        )
    first = rows.row(0, named=True)
    facts = json.loads(first["facts"])
    plain = facts.pop("map")
    return Calibration(
        key=ScoreKey(**{name: first[name] for name in ScoreKey.columns()}),
        guarantee=first["guarantee"],
        real_logits={
            row["domain"]: np.asarray(row["real_logits"], dtype=np.float32)
            for row in rows.iter_rows(named=True)
        },
        map=None if plain is None else ProbabilityMap.of(plain),
        prevalence=facts.pop("prevalence"),
        facts=facts,
        embeddings={
            row["domain"]: EmbeddingDomain(
                references=np.asarray(row["references"], dtype=np.float32),
                real_distances=np.asarray(row["real_distances"], dtype=np.float32),
            )
            for row in rows.iter_rows(named=True)
            if row["references"] is not None
        },
    )


def _embedding_columns(near: EmbeddingDomain | None) -> dict[str, Any]:
    """Return the columns of the table `calibrations` with the embeddings of a domain."""
    if near is None:
        return {"references": None, "real_distances": None}
    return {
        "references": near.references.tolist(),
        "real_distances": near.real_distances.tolist(),
    }
