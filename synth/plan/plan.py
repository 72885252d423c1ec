"""A plan: which pictures shall be made, from which parents, by which methods.

The same plan and seed name the same pictures, so that running it again makes only what is missing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from ...data.errors import ConfigError
from ...data.text.wording import shown
from ..job import Contents, Job
from ..methods.fields import MethodSettings, Role, Text, fields_of
from ..methods.protocol import Method, swept_values
from ..methods.registry import method_of
from .job_key import key_of, recipe_of
from .seeds import row_seed

Setting = str | int | float | bool

MAX_PARENTS: Final = 1_000_000
MAX_PICTURES: Final = 1_000_000
"""Of a plan: what it makes is listed in memory, about a kilobyte each."""


class Parents(MethodSettings):
    """Which images of the lake the pictures are made from."""

    choose: Annotated[
        Literal["real", "fake", "any", "near"],
        Field(
            description="Which images: those labelled real or fake, any, or those nearest to a "
            "threshold."
        ),
    ] = "real"
    n: Annotated[int, Field(ge=0, le=MAX_PARENTS, description="Number of parents at most.")] = 100
    where: Annotated[
        Text | None,
        Field(description="SQL condition on the columns of an image, such as width_px >= 512."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One `[[make]]`: a method with its settings, swept ones as lists."""

    name: str
    method: str
    of: str = "parents"
    """`parents`, or the name of an earlier block whose pictures are the parents."""
    settings: Mapping[str, Setting | Sequence[Setting]] = field(default_factory=dict)

    @property
    def made_by(self) -> Method[Any]:
        """The method."""
        return method_of(self.method)

    @property
    def needs_parents(self) -> bool:
        """Whether its pictures are made from others."""
        return self.made_by.uses_parent

    def swept(self) -> list[str]:
        """The settings whose lists are multiplied out."""
        apart = self.made_by.expands
        return [name for name in self.settings if name not in apart]

    def sweep(self) -> Iterator[dict[str, Setting]]:
        """One set of settings after the other, lists multiplied out."""
        names = self.swept()
        for row in itertools.product(*(swept_values(self.settings, name) for name in names)):
            yield dict(zip(names, row, strict=True))

    def loaded(self) -> Iterator[dict[str, Setting]]:
        """One set of settings for each thing to load; the first value of the other settings."""
        loads = fields_of(self.made_by.settings_model, Role.LOADS)
        names = self.swept()
        values = (swept_values(self.settings, name) for name in names)
        chosen = [v if name in loads else v[:1] for name, v in zip(names, values, strict=True)]
        for row in itertools.product(*chosen):
            yield dict(zip(names, row, strict=True))


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
        identity = {
            "seed": self.seed,
            "parents": [self.parents.choose, self.parents.n, self.parents.where],
            "blocks": [
                [block.name, block.method, block.of, dict(block.settings)] for block in self.blocks
            ],
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    def check(self, n_parents: int | None = None) -> dict[str, int]:
        """Read the prompts, fill the templates, and count the pictures, before anything is made.

        Args:
            n_parents: How many parents there are; None: one stands for all.

        Returns:
            Number of images per block, and of parents under "parents".

        Raises:
            InputError: A file of prompts cannot be read, or a template lacks a variable's values.
            ConfigError: There are more pictures than can be listed.
        """
        counts = {"parents": 1 if n_parents is None else n_parents}
        for block in self.blocks:
            n_sources = counts[block.of] if block.needs_parents else 1
            n_each = self._n_each(block)
            counts[block.name] = n_sources * n_each
            if counts[block.name] > MAX_PICTURES:
                each = f", {n_each:,} for each of {n_sources:,} parents" if n_sources > 1 else ""
                raise ConfigError(
                    f"[[make]] {block.name} asks for {counts[block.name]:,} pictures{each}; "
                    f"allowed are {MAX_PICTURES:,}: shorten its lists, or make several plans"
                )
        return counts

    def _n_each(self, block: Block) -> int:
        """How many pictures a block makes of each parent, without listing them."""
        n_swept = math.prod(len(swept_values(block.settings, name)) for name in block.swept())
        return n_swept * block.made_by.count(block.settings, self.folder)

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
        if not block.needs_parents:
            sources = [(None, None)]
        for (parent_id, label), settings in itertools.product(sources, self._sets(block)):
            contents = contents_of(block.method, settings, parent_id)
            key = key_of(
                block.method,
                settings,
                parent_id=parent_id,
                parent_label=label,
                seed=self.seed,
                contents=contents,
            )
            yield Job(
                key=key,
                block=block.name,
                method=block.method,
                settings=settings,
                seed=row_seed(self.seed, key),
                recipe=recipe_of(block.method, settings, parent_id=parent_id, seed=self.seed),
                parent_id=parent_id,
                parent_label=label,
                contents=contents,
            )

    def with_generator(self, name: str) -> Plan:
        """Return the plan with another generator in every block that names one.

        Raises:
            ConfigError: No block names one.
            SynthError: It cannot make the sizes that the plan asks for.
        """
        if not any("generator" in block.settings for block in self.blocks):
            raise ConfigError(
                f"generator = {shown(name)}, and no block of the plan paints with a generator; "
                "leave it out"
            )
        blocks = []
        for block in self.blocks:
            settings = block.settings
            if "generator" in settings:
                settings = block.made_by.checked({**settings, "generator": name}, self.folder)
            blocks.append(replace(block, settings=settings))
        return replace(self, blocks=tuple(blocks))

    def _sets(self, block: Block) -> Iterator[dict[str, Any]]:
        """The sets of settings of a block, those that its method expands included."""
        expanded = list(block.made_by.expand(block.settings, self.folder))
        for plain in block.sweep():
            for row in expanded:
                yield plain | row
