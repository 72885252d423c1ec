"""The limits of a dataset: caps per value, a balance, and licence flags that are left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import polars as pl

from ...data.errors import ConfigError, InputError, shorten
from ...data.store.lake import Lake
from ...data.text.wording import counted
from ...synth.generators.presets import NO_FOUNDATION_MODELS, POWERED_BY
from ..latest_rows import latest_sightings, source_of
from .draw import full_caps, in_draw_order, is_balanced
from .pinned import Pinned
from .rows import read_labels

Column = Literal["label", "domain", "source"]
COLUMNS: Final[tuple[Column, ...]] = get_args(Column)
_FORM: Final = f"allowed: COLUMN=N with {', '.join(COLUMNS)} and N of at least 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Images that a limit leaves out.

    Attributes:
        why: Limit in words.
        images: Number of images.
        labels: Number of images per label.
    """

    why: str
    images: int
    labels: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of a dataset; none by default.

    Attributes:
        cap: Largest number of images per value, by column.
        balance: Column with as many images of each value; None for none.
        exclude_license_flags: Licence flags of images that are left out.
    """

    cap: Mapping[str, int]
    balance: Column | None
    exclude_license_flags: tuple[str, ...]

    @classmethod
    def of(
        cls,
        *,
        cap: Mapping[str, int] | None = None,
        balance: str | None = None,
        exclude_license_flags: Sequence[str] = (),
    ) -> Limits:
        """Return limits after checking their values.

        Raises:
            ConfigError: A column or a number is not allowed, or the flags are a single text.
        """
        for name, limit in (cap or {}).items():
            _require_column("cap", name)
            if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
                raise ConfigError(f"cap of {name} is {limit!r}; {_FORM}")
        if isinstance(exclude_license_flags, str):
            raise ConfigError(
                f"exclude_license_flags is the text {shorten(exclude_license_flags, 64)!r};"
                " allowed: a list of flags"
            )
        return cls(
            cap=dict(cap or {}),
            balance=None if balance is None else _require_column("balance", balance),
            exclude_license_flags=tuple(dict.fromkeys(exclude_license_flags)),
        )

    def applied(
        self, lake: Lake, pinned: Pinned, plan: pl.DataFrame, *, seed: int
    ) -> tuple[pl.DataFrame, tuple[LeftOut, ...]]:
        """Return the rows of a plan within the limits, in their order, and what is left out.

        Licence flags are applied first, then caps, then the balance.

        Args:
            lake: Lake of the images.
            pinned: Table versions, score key and policy.
            plan: Columns image_id and group_id of the selected images; others are kept.
            seed: Seed of the draw.

        Raises:
            ConfigError: A licence flag is not known.
            InputError: The images have fewer than two values to balance.
            StoreError: The lake cannot be read.
        """
        if not self.record():
            return plan, ()
        rows = in_draw_order(self._facts(lake, pinned, plan), seed=seed)
        left_out = []
        if self.exclude_license_flags:
            flagged = flagged_ids(lake, pinned, self.exclude_license_flags).to_frame()
            found = rows.join(flagged, on="image_id", how="semi")
            rows = rows.join(flagged, on="image_id", how="anti", maintain_order="left")
            flags = ", ".join(self.exclude_license_flags)
            left_out.append(_left_out(f"licence flag {flags}", found))
        if self.cap:
            rows = rows.with_columns(full_caps(rows, self.cap))
            for name, limit in self.cap.items():
                above = rows.filter(pl.col("cap") == name)
                left_out.append(_left_out(f"cap of {counted(limit, 'image')} per {name}", above))
            rows = rows.filter(pl.col("cap").is_null())
        if self.balance:
            rows, more = _balance(rows, self.balance)
            left_out += more
        kept = plan.join(rows.select("image_id"), on="image_id", how="semi", maintain_order="left")
        return kept, tuple(left_out)

    def record(self) -> dict[str, Any]:
        """Return the limits that are set as plain values."""
        values = {
            "cap": dict(self.cap),
            "balance": self.balance,
            "exclude_license_flags": list(self.exclude_license_flags),
        }
        return {name: value for name, value in values.items() if value}

    def _facts(self, lake: Lake, pinned: Pinned, plan: pl.DataFrame) -> pl.DataFrame:
        """Return image_id, group_id, label and the columns of the limits."""
        wanted = plan.lazy().select("image_id", "group_id")
        labels = read_labels(lake, pinned, wanted.select("image_id"))
        facts = wanted.join(labels.select("image_id", "label"), on="image_id", how="left")
        if {"domain", "source"} & {*self.cap, self.balance}:
            seen = latest_sightings(lake, version=pinned.versions["sightings"])
            facts = facts.join(
                seen.select("image_id", "domain", source=source_of()), on="image_id", how="left"
            )
        return facts.collect()


def record_of(limits: Limits, left_out: Iterable[LeftOut]) -> dict[str, Any]:
    """Return limits and what they leave out as plain values; empty without limits."""
    record = limits.record()
    return record | {"left_out": [asdict(one) for one in left_out]} if record else {}


def parse_cap(texts: Iterable[str]) -> dict[str, int]:
    """Return caps by column from texts such as `label=500`.

    Raises:
        ConfigError: A text is not of this form, or a column is named twice.
    """
    cap: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if not (number.isascii() and number.isdigit()) or int(number) < 1:
            raise ConfigError(f"cap {shorten(text, 64)!r} is not a number per column; {_FORM}")
        if _require_column("cap", name) in cap:
            raise ConfigError(f"cap names {name} twice; give one number for it")
        cap[name] = int(number)
    return cap


def flagged_ids(lake: Lake, pinned: Pinned, flags: Sequence[str]) -> pl.Series:
    """Return the ids of images with a licence flag, and of all that were made from these.

    Args:
        lake: Lake of the images.
        pinned: Table versions of the dataset.
        flags: Licence flags.

    Raises:
        ConfigError: A flag is neither that of an image of the lake nor of a packaged generator.
        StoreError: The lake cannot be read.
    """
    made = (
        pinned.scan(lake, "synthetics").select("image_id", "parent_id", "license_flags").collect()
    )
    known = {*made["license_flags"].explode().drop_nulls(), NO_FOUNDATION_MODELS, POWERED_BY}
    unknown = [flag for flag in flags if flag not in known]
    if unknown:
        raise ConfigError(
            f"licence flag {shorten(unknown[0], 64)!r} is that of no image of {lake.uri}; allowed: "
            f"{', '.join(sorted(known))}"
        )
    has_flag = pl.col("license_flags").list.set_intersection(list(flags)).list.len() > 0
    found = made.filter(has_flag).select("image_id").unique()
    while True:
        # A laundered image is under the licence of its parent.
        parents = found.select(parent_id="image_id")
        children = made.join(parents, on="parent_id", how="semi").select("image_id").unique()
        new = children.join(found, on="image_id", how="anti")
        if new.is_empty():
            return found["image_id"]
        found = pl.concat([found, new])


def _balance(rows: pl.DataFrame, column: Column) -> tuple[pl.DataFrame, list[LeftOut]]:
    without = rows.filter(pl.col(column).is_null())
    rows = rows.filter(pl.col(column).is_not_null())
    n_values = rows[column].n_unique()
    if n_values < 2:
        n_images = without.height + rows.height
        seen = f"only {column} {rows[column][0]!r}" if n_values else f"no {column}"
        raise InputError(
            f"{counted(n_images, 'image to balance has', 'images to balance have')} {seen}; select"
            f" images of at least two, or publish without --balance {column}"
        )
    is_kept = is_balanced(rows, column)
    n_each = int(is_kept.sum()) // n_values
    left_out = [_left_out(f"no {column} to balance", without)] if without.height else []
    left_out.append(
        _left_out(f"balance of {counted(n_each, 'image')} per {column}", rows.filter(~is_kept))
    )
    return rows.filter(is_kept), left_out


def _left_out(why: str, rows: pl.DataFrame) -> LeftOut:
    counts = rows["label"].fill_null("unlabelled").value_counts().sort("label")
    return LeftOut(why=why, images=rows.height, labels=dict(counts.iter_rows()))


def _require_column(option: str, name: str) -> Column:
    for known in COLUMNS:
        if name == known:
            return known
    raise ConfigError(f"{option} names {shorten(name, 64)!r}; allowed: {', '.join(COLUMNS)}")
