"""A plan: which pictures shall be made, from which parents, by which methods.

The same plan and seed name the same pictures, so that running it again makes only what is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .seeds import row_key, row_seed

Setting = str | int | float | bool

WITHOUT_PARENTS: Final = frozenset({"text"})
# Numbers of the list that are one setting or stand for several pictures by themselves.
NOT_SWEPT: Final = frozenset({"prompts", "times", "variables"})
# What is measured on a picture and leaves it as it is, and so its seed.
_MEASURED: Final = frozenset({"clip", "ocr"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents:
    """Which images of the lake the pictures are made from."""

    choose: str = "real"
    n: int = 100
    where: str | None = None
    """A SQL condition on the columns of the images as judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One `[[make]]`: a method with its settings, swept ones as lists."""

    name: str
    method: str
    of: str = "parents"
    """`parents`, or the name of an earlier block whose pictures are the parents."""
    settings: Mapping[str, Setting | Sequence[Setting]] = field(default_factory=dict)

    def sweep(self) -> Iterator[dict[str, Setting]]:
        """One set of settings after the other, lists multiplied out."""
        names = list(self.settings)
        values = [
            list(value) if isinstance(value, (list, tuple)) else [value]
            for value in self.settings.values()
        ]
        for row in itertools.product(*values):
            yield dict(zip(names, row, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture to be made."""

    key: str
    block: str
    method: str
    settings: Mapping[str, Any]
    seed: int
    parent_id: str | None = None
    parent_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked plan."""

    seed: int
    parents: Parents
    blocks: tuple[Block, ...]
    folder: Path
    """Against which paths in it are read."""

    @property
    def plan_id(self) -> str:
        """12 hex digits of everything in the plan; comments and order of keys do not count."""
        told = {
            "seed": self.seed,
            "parents": [self.parents.choose, self.parents.n, self.parents.where],
            "blocks": [
                [block.name, block.method, block.of, dict(block.settings)] for block in self.blocks
            ],
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]

    def jobs(self, block: Block, parents: Sequence[tuple[str, str | None]]) -> Iterator[Job]:
        """The pictures of a block, in a fixed order.

        Args:
            block: One of the plan's.
            parents: Ids and labels; not looked at by methods that need none.
        """
        sources: Sequence[tuple[str | None, str | None]] = parents
        if block.method in WITHOUT_PARENTS:
            sources = [(None, None)]
        for (parent_id, label), settings in itertools.product(sources, block.sweep()):
            for told in self._prompted(block, settings):
                drawn = {name: value for name, value in told.items() if name not in _MEASURED}
                key = row_key(method=block.method, settings=drawn, parent=parent_id, seed=self.seed)
                yield Job(
                    key=key,
                    block=block.name,
                    method=block.method,
                    settings=told,
                    seed=row_seed(self.seed, key),
                    parent_id=parent_id,
                    parent_label=label,
                )

    def _prompted(self, block: Block, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if block.method != "text":
            yield settings
            return
        from .prompts import MODERATION, expand, moderation_prompts, read_prompts

        plain = {name: v for name, v in settings.items() if name not in NOT_SWEPT}
        told = [{"prompt": plain.pop("prompt")}] if "prompt" in plain else []
        if "prompts" in settings:
            named = str(settings["prompts"])
            rows = (
                moderation_prompts() if named == MODERATION else read_prompts(self.folder / named)
            )
            told += [row.settings() for row in rows]
        if variables := settings.get("variables"):
            told = [row | {"prompt": p} for row in told for p in expand(row["prompt"], variables)]
        for row, turn in itertools.product(told, range(int(settings.get("times", 1)))):
            yield plain | row | ({"turn": turn} if turn else {})
