"""What a check of a lake finds, as values and as text."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

from ...data.commands import command
from ...data.text.wording import counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One damage, or one leftover.

    Attributes:
        what: Kind of the finding: `table`, `table file`, `journal`, `shard`, `images unknown`,
            `forgotten`, `answers waiting` or `left over`.
        where: Path below the lake.
        problem: Description of the damage, a phrase that continues `where`.
        affects: Rows or images that are unavailable because of it.
        remedy: Action of `assay lake repair`, or of a person.
        is_damage: Whether rows or images are unavailable; False for a leftover.
    """

    what: str
    where: str
    problem: str
    affects: str
    remedy: str
    is_damage: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The result of a check.

    Attributes:
        lake: Address of the lake.
        deep: Whether every byte was read.
        findings: Damages and leftovers.
        rows: Number of rows per table.
        shards: Number of shards that images lie in.
        images: Number of stored images.
        lost: Number of images recorded as lost.
        forgotten: Number of images that were forgotten.
    """

    lake: str
    deep: bool
    findings: tuple[Finding, ...]
    rows: dict[str, int]
    shards: int
    images: int
    lost: int
    forgotten: int = 0

    @property
    def damage(self) -> list[Finding]:
        """The findings that are damage."""
        return [finding for finding in self.findings if finding.is_damage]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {"ok": not self.damage} | asdict(self)


def damage_of(what: str, where: str, problem: str, affects: str, remedy: str) -> Finding:
    """Return a damage; the arguments are those of `Finding`."""
    return Finding(what=what, where=where, problem=problem, affects=affects, remedy=remedy)


def draw(health: Health) -> str:
    """Return a check as text: a paragraph per finding, then the counts.

    Args:
        health: Result of the check.
    """
    out = io.StringIO()
    for finding in health.findings:
        mark = "damage" if finding.is_damage else "note"
        out.write(f"{mark:<7}{finding.where}\n       {finding.problem}\n")
        if finding.is_damage:
            out.write(f"       affects {finding.affects}\n")
        out.write(f"       {finding.remedy}\n")
    rows = ", ".join(f"{name} {n:,}" for name, n in health.rows.items() if n)
    out.write(
        f"lake   {health.lake}\n       {counted(health.images, 'image')} in"
        f" {counted(health.shards, 'shard')}"
    )
    out.write(f"; rows: {rows or 'none'}\n")
    if health.lost:
        out.write(f"       {counted(health.lost, 'image is', 'images are')} recorded as lost\n")
    if health.forgotten:
        out.write(f"       {counted(health.forgotten, 'image was', 'images were')} forgotten\n")
    how = "every byte was read" if health.deep else "quick check; --deep reads every byte"
    n_damage = len(health.damage)
    if n_damage:
        out.write(f"next   {command('lake', 'repair', lake=health.lake)}\n")
    out.write(f"found  {counted(n_damage, 'damage')}; {how}")
    return out.getvalue()
