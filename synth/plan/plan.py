"""A plan of images to make: parents, blocks of settings, and the jobs that follow from them.

The same plan and seed name the same images, so that another run makes only those that are missing.
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
from ...data.text.wording import counted, shown
from ..job import Contents, Job
from ..methods.fields import MethodSettings, Role, Text, fields_of
from ..methods.protocol import Method, swept_values
from ..methods.registry import method_of
from .job_key import key_of, recipe_of
from .seeds import row_seed

Setting = str | int | float | bool

MAX_PARENTS: Final = 1_000_000
MAX_IMAGES: Final = 1_000_000
"""Largest number of images per plan; its jobs are listed in memory, about a kilobyte each."""


class Parents(MethodSettings):
    """The selection of the lake's images that are the parents."""

    choose: Annotated[
        Literal["real", "fake", "any", "near"],
        Field(
            description="Images to choose: those labelled real or fake, any, or those nearest to "
            "a threshold."
        ),
    ] = "real"
    n: Annotated[int, Field(ge=0, le=MAX_PARENTS, description="Largest number of parents.")] = 100
    where: Annotated[
        Text | None,
        Field(description="SQL condition on the columns of an image, such as width_px >= 512."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One `[[make]]`: a method and its settings, where a list is swept."""

    name: str
    """Name of the block, unique in the plan."""
    method: str
    """Name of the method."""
    of: str = "parents"
    """Parents: `parents`, or the name of an earlier block whose images are the parents."""
    settings: Mapping[str, Setting | Sequence[Setting]] = field(default_factory=dict)
    """Settings of the method: values, or lists of values."""

    @property
    def made_by(self) -> Method[Any]:
        """Method of the block."""
        return method_of(self.method)

    @property
    def needs_parents(self) -> bool:
        """Whether the method makes its images from parents."""
        return self.made_by.uses_parent

    def swept(self) -> list[str]:
        """Return the names of the settings that are swept: every combination is made."""
        apart = self.made_by.expands
        return [name for name in self.settings if name not in apart]

    def sweep(self) -> Iterator[dict[str, Setting]]:
        """Yield every combination of the swept settings."""
        names = self.swept()
        for row in itertools.product(*(swept_values(self.settings, name) for name in names)):
            yield dict(zip(names, row, strict=True))

    def loaded(self) -> Iterator[dict[str, Setting]]:
        """Yield every combination of the settings that load something, each with the others' first.

        Settings without the role `LOADS` have the first value of their list.
        """
        loads = fields_of(self.made_by.settings_model, Role.LOADS)
        names = self.swept()
        values = (swept_values(self.settings, name) for name in names)
        chosen = [v if name in loads else v[:1] for name, v in zip(names, values, strict=True)]
        for row in itertools.product(*chosen):
            yield dict(zip(names, row, strict=True))


ContentsOf = Callable[[str, Mapping[str, Any], str | None], Contents]
"""Function from method, settings and parent's id to the contents that the settings name."""


def _by_name(_method: str, _settings: Mapping[str, Any], _parent_id: str | None) -> Contents:
    return Contents()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A checked plan."""

    seed: int
    """Seed of the plan, 0 to 2**64 - 1."""
    parents: Parents
    """Selection of the parents."""
    blocks: tuple[Block, ...]
    """Blocks in the order of the file."""
    folder: Path
    """Folder that relative paths of the plan start from."""

    @property
    def plan_id(self) -> str:
        """Hash of the plan's values, 12 hex digits; comments and order of keys do not count."""
        identity = {
            "seed": self.seed,
            "parents": [self.parents.choose, self.parents.n, self.parents.where],
            "blocks": [
                [block.name, block.method, block.of, dict(block.settings)] for block in self.blocks
            ],
        }
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]

    def check(self, n_parents: int | None = None) -> dict[str, int]:
        """Read the prompts, fill the templates and count the images, before anything is made.

        Args:
            n_parents: Number of parents; None: counted as one.

        Returns:
            Number of images per block, and of parents under "parents".

        Raises:
            InputError: A file of prompts cannot be read, or a variable of a template has no values.
            ConfigError: There are more than `MAX_IMAGES` images.
        """
        counts = {"parents": 1 if n_parents is None else n_parents}
        for block in self.blocks:
            n_sources = counts[block.of] if block.needs_parents else 1
            n_each = self._n_each(block)
            counts[block.name] = n_sources * n_each
            if counts[block.name] > MAX_IMAGES:
                each = (
                    f", {n_each:,} for each of {counted(n_sources, 'parent')}"
                    if n_sources > 1
                    else ""
                )
                raise ConfigError(
                    f"[[make]] {block.name} has {counted(counts[block.name], 'image')}{each}; "
                    f"allowed: {MAX_IMAGES:,}. Shorten its lists, or split the plan"
                )
        return counts

    def _n_each(self, block: Block) -> int:
        """Count the images of a block per parent, without listing them."""
        n_swept = math.prod(len(swept_values(block.settings, name)) for name in block.swept())
        return n_swept * block.made_by.count(block.settings, self.folder)

    def jobs(
        self,
        block: Block,
        parents: Sequence[tuple[str, str | None]],
        contents_of: ContentsOf = _by_name,
    ) -> Iterator[Job]:
        """Yield the jobs of a block in a fixed order; equal images have equal keys.

        Args:
            block: Block of the plan.
            parents: Image ids and labels of the parents; ignored by methods without parents.
            contents_of: Function that gives the contents of what the settings name; default: the
                names stand for themselves.

        Raises:
            InputError: A file of prompts cannot be read, or a variable of a template has no values.
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

        Args:
            name: Name, hub id or absolute folder of the generator.

        Raises:
            ConfigError: No block names a generator.
            SynthError: The generator does not support the sizes of the plan.
        """
        if not any("generator" in block.settings for block in self.blocks):
            raise ConfigError(
                f"generator = {shown(name)}, but no block of the plan uses a generator; leave it "
                "out"
            )
        blocks = []
        for block in self.blocks:
            settings = block.settings
            if "generator" in settings:
                settings = block.made_by.checked({**settings, "generator": name}, self.folder)
            blocks.append(replace(block, settings=settings))
        return replace(self, blocks=tuple(blocks))

    def _sets(self, block: Block) -> Iterator[dict[str, Any]]:
        """Yield the sets of settings of a block: every combination, expanded by its method."""
        expanded = list(block.made_by.expand(block.settings, self.folder))
        for plain in block.sweep():
            for row in expanded:
                yield plain | row
