"""The rows of the grid as packed columns, within a number of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...data.text.redaction import redact_text
from ...data.vocabulary import DecisionReason
from ..pages.captions import visible
from ..pages.packed import Packed, pack
from .thresholds import DECISIONS, LABELS, NO_DOMAIN, OTHER, label_index

MAX_BYTES: Final = 3_500_000
MAX_DOMAINS: Final = 200
MAX_REASONS: Final = 32
ID_DIGITS: Final = 12
# Longest addresses in characters, from the first one with which the rows fit.
_ADDRESS_CHARS: Final = (400, 120, 60, 40, 28, 20)
_NO_DECISION: Final = len(DECISIONS)
# Categories of control and format characters, which can make a name look like another one.
_INVISIBLE: Final = r"[\p{Cc}\p{Cf}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRows:
    """Rows of the grid, in the order of their addresses.

    Attributes:
        packed: Columns id (6 bytes), prob (NaN: no score), decision, label, domain (indices),
            reasons (bits), width, height, kilobytes and address.
        reasons: Words of the bits, from the lowest.
        domains: Names by index.
        address_chars: Length in characters to which addresses are cut.
    """

    packed: Packed
    reasons: tuple[str, ...]
    domains: tuple[str, ...]
    address_chars: int

    def head(self) -> dict[str, Any]:
        """Return all but the data, as values for JSON."""
        return {
            "rows": self.packed.n_rows,
            "columns": self.packed.columns,
            "reasons": [(word, DecisionReason.text_of(word)) for word in self.reasons],
            "domains": [visible(name) for name in self.domains],
            "labels": LABELS,
            "decisions": DECISIONS,
        }


def grid_rows(rows: pl.DataFrame, *, max_bytes: int = MAX_BYTES) -> GridRows:
    """Return rows as packed columns; long addresses are cut in their middle until they fit.

    Args:
        rows: Columns image_id, source_uri, domain, prob_fake, decision, reasons, label, width_px,
            height_px and n_bytes.
        max_bytes: Number of characters of the packed data to stay below, if the shortest
            addresses allow it.
    """
    rows = rows.sort("source_uri", "image_id")
    reasons = _words(rows)
    domains = _domains(rows)
    ids = "".join(rows["image_id"].str.slice(0, ID_DIGITS).to_list())
    columns: dict[str, Any] = {
        "id": np.frombuffer(bytes.fromhex(ids), dtype=np.uint8).reshape(-1, ID_DIGITS // 2),
        "prob": rows["prob_fake"].cast(pl.Float32).fill_null(float("nan")).to_numpy(),
        "decision": rows["decision"]
        .cast(pl.String)
        .replace_strict(DECISIONS, range(len(DECISIONS)), default=_NO_DECISION)
        .cast(pl.UInt8)
        .to_numpy(),
        "label": rows.select(label_index())["label"].to_numpy(),
        "domain": rows["domain"]
        .cast(pl.String)
        .fill_null(NO_DOMAIN)
        .replace_strict(domains, range(len(domains)), default=len(domains) - 1)
        .cast(pl.UInt16)
        .to_numpy(),
        "reasons": _bits(rows["reasons"], reasons),
        "width": _numbers(rows["width_px"]),
        "height": _numbers(rows["height_px"]),
        # Rounded up: no more is shown, and the last digits do not compress.
        "kilobytes": _numbers((rows["n_bytes"] / 1000).ceil()),
    }
    addresses = _visible(rows["source_uri"])
    left = max_bytes - len(pack(rows.height, columns).data)
    for chars in _ADDRESS_CHARS:
        texts = _shortened(addresses, chars).to_list()
        if len(pack(rows.height, {"address": texts}).data) <= left:
            break
    packed = pack(rows.height, columns | {"address": texts})
    return GridRows(packed=packed, reasons=reasons, domains=domains, address_chars=chars)


def _numbers(values: pl.Series) -> NDArray[np.uint32]:
    """Return counts as uint32, 0 where there is none."""
    return values.cast(pl.UInt32, strict=False).fill_null(0).to_numpy()


def _words(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the reasons of the rows in the order of `DecisionReason`, later versions' last."""
    found = set(rows["reasons"].explode().drop_nulls().unique().to_list())
    known = [reason.value for reason in DecisionReason if reason in found]
    return tuple([*known, *sorted(found - set(known))][:MAX_REASONS])


def _bits(reasons: pl.Series, words: tuple[str, ...]) -> NDArray[np.uint32]:
    bits = np.zeros(len(reasons), dtype=np.uint32)
    for index, word in enumerate(words):
        has = reasons.list.contains(word).fill_null(value=False).to_numpy()
        bits |= has.astype(np.uint32) << np.uint32(index)
    return bits


def _domains(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the domains by size; the last one stands for those beyond the limit."""
    names = (
        rows.group_by(pl.col("domain").cast(pl.String).fill_null(NO_DOMAIN))
        .len()
        .sort("len", "domain", descending=[True, False])["domain"]
        .to_list()
    )
    return tuple(names) if len(names) <= MAX_DOMAINS else (*names[: MAX_DOMAINS - 1], OTHER)


def _visible(addresses: pl.Series) -> pl.Series:
    """Return addresses with secrets hidden and control and format characters replaced."""
    frame = addresses.fill_null("").to_frame("address")
    # Only user info, queries and fragments hold secrets; most addresses have none.
    suspect = pl.col("address").str.contains(r"[@?#]")
    return frame.select(
        pl.when(suspect)
        .then(pl.col("address").map_elements(redact_text, return_dtype=pl.String))
        .otherwise("address")
        .str.replace_all(_INVISIBLE, "\ufffd")
    )["address"]


def _shortened(addresses: pl.Series, max_chars: int) -> pl.Series:
    head = max_chars // 4
    text = pl.col("address")
    return addresses.to_frame("address").select(
        pl.when(text.str.len_chars() <= max_chars)
        .then(text)
        .otherwise(
            pl.concat_str(text.str.head(head), pl.lit("…"), text.str.tail(max_chars - head - 1))
        )
        .alias("address")
    )["address"]
