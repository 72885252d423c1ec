"""Images that assay made in a run, each beside its parent: what changed, and both scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ...data.errors import ConfigError
from ...data.store.lake import Lake
from ..evasion.table import seen_alike, setting_of
from ..latest_rows import Named, Part, latest_scores, latest_sightings
from ..runs.run_record import RunRecord

MAX_PAIRS: Final = 12
_PROMPT_CHARS: Final = 160
_MADE: Final = ("parent_id", "method", "generator", "lora", "prompt", "params")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An image and its parent.

    Attributes:
        image_id: Id of the image.
        parent_id: Id of the parent.
        method: Name of the method.
        changes: Texts that say what the method did, such as its settings and its prompt.
        label: Label of the image; None without one.
        decision: Decision on the image; None without one.
        prob_fake: Score of the image; None without one.
        parent_prob: Score of the parent under the same key; None without a comparable one.
        logit_change: Logit of the image less that of its parent; None if one is missing.
        parent_uri: Address of the parent; None if it is not known.
    """

    image_id: str
    parent_id: str
    method: str
    changes: tuple[str, ...]
    label: str | None
    decision: str | None
    prob_fake: float | None
    parent_prob: float | None
    logit_change: float | None
    parent_uri: str | None


class Pairs:
    """The pairs of a run with the lowest scores, of each method in turn."""

    def __init__(self, lake: Lake, run: RunRecord, *, max_pairs: int = MAX_PAIRS) -> None:
        """Start without pairs.

        Args:
            lake: Lake of the run.
            run: Record of the run.
            max_pairs: Largest number of pairs that are kept.
        """
        self._lake = lake
        self._run = run
        self._max_pairs = max_pairs
        self._kept: pl.DataFrame | None = None
        self.n_pairs: dict[str, int] = {}

    def add(self, part: Part, rows: pl.DataFrame) -> None:
        """Offer the images of a part.

        Args:
            part: Part of the images of the run.
            rows: Columns image_id, prob_fake, decision and label of its images.
        """
        made = (
            part.rows(self._lake, "synthetics")
            .filter(pl.col("parent_id").is_not_null())
            .sort("created_at", maintain_order=True)
            .unique("image_id", keep="last")
            .select("image_id", *_MADE)
            .join(
                rows.lazy().select("image_id", "prob_fake", "decision", "label"),
                on="image_id",
                how="inner",
            )
            .collect()
        )
        if made.is_empty():
            return
        for method, n in made.group_by("method").len().iter_rows():
            self.n_pairs[method] = self.n_pairs.get(method, 0) + n
        kept = made if self._kept is None else pl.concat([self._kept, made])
        lowest = kept.sort("prob_fake", "image_id", nulls_last=True)
        self._kept = lowest.group_by("method", maintain_order=True).head(self._max_pairs)

    def pairs(self) -> list[Pair]:
        """Return the pairs: the lowest score of each method, then the next ones, by method."""
        if self._kept is None:
            return []
        turn = pl.int_range(pl.len()).over("method")
        chosen = (
            self._kept.with_columns(turn=turn)
            .sort("turn", "method", "image_id")
            .head(self._max_pairs)
            .sort("method", "turn")
        )
        parents = self._parents(chosen["parent_id"].unique().to_list())
        own = self._scores(chosen["image_id"].to_list())
        return [
            _pair(row, own.get(row["image_id"], {}), parents.get(row["parent_id"], {}))
            for row in chosen.with_columns(alike=self._seen_alike()).iter_rows(named=True)
        ]

    def _seen_alike(self) -> pl.Expr:
        return pl.lit(value=False) if self._run.key is None else seen_alike(self._run.key)

    def _parents(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        part = Named(ids=tuple(ids))
        seen = latest_sightings(self._lake, part=part).select("image_id", "source_uri").collect()
        scores = self._scores(ids)
        return {
            image_id: {"source_uri": uri, **scores.get(image_id, {})}
            for image_id, uri in seen.iter_rows()
        } | {image_id: row for image_id, row in scores.items() if image_id not in seen["image_id"]}

    def _scores(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        if self._run.key is None:
            return {}
        rows = latest_scores(self._lake, self._run.key, part=Named(ids=tuple(ids)))
        return {
            row["image_id"]: row
            for row in rows.select("image_id", "prob_fake", "logit").collect().to_dicts()
        }


def _pair(row: Mapping[str, Any], own: Mapping[str, Any], parent: Mapping[str, Any]) -> Pair:
    known = parent if row["alike"] else {}
    logits = (own.get("logit"), known.get("logit"))
    return Pair(
        image_id=row["image_id"],
        parent_id=row["parent_id"],
        method=row["method"],
        changes=tuple(_changes(row)),
        label=row["label"],
        decision=row["decision"],
        prob_fake=row["prob_fake"],
        parent_prob=known.get("prob_fake"),
        logit_change=None if None in logits else logits[0] - logits[1],  # type: ignore[operator]
        parent_uri=parent.get("source_uri"),
    )


def _changes(row: Mapping[str, Any]) -> list[str]:
    try:
        words = setting_of(row["method"], row["params"] or "{}")
    except (ConfigError, json.JSONDecodeError):
        words = []  # a method of a package that is not installed here
    named = [f"{name} {row[name]}" for name in ("generator", "lora") if row[name]]
    # The record names the revision too.
    words = [word for word in words if not any(text.startswith(word) for text in named)] + named
    if prompt := row["prompt"]:
        short = prompt if len(prompt) <= _PROMPT_CHARS else prompt[: _PROMPT_CHARS - 1] + "…"
        words.append(f"prompt: {short}")
    return words
