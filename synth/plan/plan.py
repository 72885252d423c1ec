"""A plan: which pictures shall be made, from which parents, by which methods.

The same plan and seed name the same pictures, so that running it again makes only what is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from ...data.errors import ConfigError
from .job_key import MEASURED, Contents, key_of
from .prompts import expand, prompts_of, template_names
from .seeds import row_key, row_seed

Setting = str | int | float | bool

WITHOUT_PARENTS: Final = frozenset({"text"})
# Settings of `text` that say together which prompts there are.
TEXTS: Final = frozenset({"prompt", "prompts", "times", "variables"})
MAX_PICTURES: Final = 1_000_000
"""Of a plan: what it makes is listed in memory, about a kilobyte each."""


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

    def swept(self) -> list[str]:
        """The settings whose lists are multiplied out."""
        apart = TEXTS if self.method == "text" else frozenset()
        return [name for name in self.settings if name not in apart]

    def sweep(self, *names: str) -> Iterator[dict[str, Setting]]:
        """One set of settings after the other, lists multiplied out; of these names, or of all."""
        chosen = [name for name in self.swept() if name in names or not names]
        for row in itertools.product(*(_listed(self.settings[name]) for name in chosen)):
            yield dict(zip(chosen, row, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One picture to be made."""

    key: str
    """Of everything that decides the pixels."""
    block: str
    method: str
    settings: Mapping[str, Any]
    seed: int
    recipe: str = ""
    """Of the settings as they stand in the plan, names for contents."""
    parent_id: str | None = None
    parent_label: str | None = None
    contents: Contents = field(default_factory=Contents)

    @property
    def measured(self) -> str:
        """What measures the picture, as text."""
        return json.dumps(dict(self.contents.measures), sort_keys=True)


ContentsOf = Callable[[str, Mapping[str, Any], str | None], Contents]
"""What a method's settings stand for, given the id of the parent."""


def _by_name(_method: str, _settings: Mapping[str, Any], _parent_id: str | None) -> Contents:
    return Contents()


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

    def check(self, n_parents: int | None = None) -> None:
        """Read the prompts, fill the templates, and count the pictures, before anything is made.

        Args:
            n_parents: How many parents there are; None: one stands for all.

        Raises:
            InputError: A file of prompts cannot be read, or a template lacks a variable's values.
            ConfigError: There are more pictures than can be listed.
        """
        counts = {"parents": 1 if n_parents is None else n_parents}
        for block in self.blocks:
            n_sources = 1 if block.method in WITHOUT_PARENTS else counts[block.of]
            n_each = self._n_each(block)
            counts[block.name] = n_sources * n_each
            if counts[block.name] > MAX_PICTURES:
                each = f", {n_each:,} for each of {n_sources:,} parents" if n_sources > 1 else ""
                raise ConfigError(
                    f"[[make]] {block.name} asks for {counts[block.name]:,} pictures{each}; "
                    f"allowed are {MAX_PICTURES:,}: shorten its lists, or make several plans"
                )

    def _n_each(self, block: Block) -> int:
        """How many pictures a block makes of each parent, without listing them."""
        n_swept = math.prod(len(_listed(block.settings[name])) for name in block.swept())
        if block.method != "text":
            return n_swept
        variables = _variables(block)
        n_filled = sum(
            math.prod(len(variables[name]) for name in template_names(row["prompt"], variables))
            if variables
            else 1
            for row in self._prompts(block)
        )
        return n_swept * n_filled * _times(block)

    def jobs(
        self,
        block: Block,
        parents: Sequence[tuple[str, str | None]],
        contents_of: ContentsOf = _by_name,
    ) -> Iterator[Job]:
        """The pictures of a block, in a fixed order; equal ones have one key.

        Args:
            block: One of the plan's.
            parents: Ids and labels; not looked at by methods that need none.
            contents_of: What names in the settings stand for; by default, the names themselves.
        """
        sources: Sequence[tuple[str | None, str | None]] = parents
        if block.method in WITHOUT_PARENTS:
            sources = [(None, None)]
        for (parent_id, label), told in itertools.product(sources, self._told(block)):
            contents = contents_of(block.method, told, parent_id)
            key = key_of(
                block.method,
                told,
                parent_id=parent_id,
                parent_label=label,
                seed=self.seed,
                contents=contents,
            )
            drawn = {name: value for name, value in told.items() if name not in MEASURED}
            yield Job(
                key=key,
                block=block.name,
                method=block.method,
                settings=told,
                seed=row_seed(self.seed, key),
                recipe=row_key(
                    method=block.method, settings=drawn, parent=parent_id, seed=self.seed
                ),
                parent_id=parent_id,
                parent_label=label,
                contents=contents,
            )

    def _told(self, block: Block) -> Iterator[dict[str, Any]]:
        """The sets of settings of a block, each with one prompt."""
        if block.method != "text":
            yield from block.sweep()
            return
        rows, variables = self._prompts(block), _variables(block)
        if variables:
            rows = [row | {"prompt": p} for row in rows for p in expand(row["prompt"], variables)]
        for plain in block.sweep():
            for row, turn in itertools.product(rows, range(_times(block))):
                yield plain | row | ({"turn": turn} if turn else {})

    def _prompts(self, block: Block) -> list[dict[str, str]]:
        """The prompts of a block, its own and those of its file, as templates."""
        rows = [{"prompt": str(prompt)} for prompt in _listed(block.settings.get("prompt", []))]
        if named := block.settings.get("prompts"):
            rows += [row.settings() for row in prompts_of(str(named), self.folder)]
        return rows


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else [value]


def _variables(block: Block) -> Mapping[str, Sequence[str]]:
    found: Any = block.settings.get("variables", {})
    return cast("Mapping[str, Sequence[str]]", found)


def _times(block: Block) -> int:
    return int(cast("int", block.settings.get("times", 1)))
