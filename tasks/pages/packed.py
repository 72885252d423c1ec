"""Columns as text inside an HTML file: typed arrays, gzip, base64; `script/columns.js` reads them.

The text has letters, digits, `+`, `/` and `=` only, so that nothing from outside can end the
element that holds it.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...data.text.wording import counted

Column = NDArray[Any] | Sequence[str]
"""Values of a column: an array of unsigned integers or float32, one or two axes, or texts."""

_KINDS: Final = {"uint8": "u1", "uint16": "u2", "uint32": "u4", "float32": "f4"}
_LEVEL: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """Columns of equal length as one text.

    Attributes:
        n_rows: Number of values per column.
        columns: Name, kind, width and number of bytes per column, in the order of the bytes. The
            kind is `u1`, `u2`, `u4`, `f4` or `text`; the width is the number of values per row.
        data: Base64 of the gzipped bytes of all columns.
    """

    n_rows: int
    columns: tuple[tuple[str, str, int, int], ...]
    data: str


def pack(n_rows: int, columns: Mapping[str, Column]) -> Packed:
    """Return columns as one text.

    Numbers are little-endian and stored by planes (first all lowest bytes, then all second ones),
    which gzip compresses better. Texts are UTF-8, each ended by a line feed.

    Args:
        n_rows: Number of values per column.
        columns: Values by name. Texts have no line feed.

    Raises:
        ValueError: A column has another length or an unknown type, or a text has a line feed.
    """
    heads, parts = [], []
    for name, values in columns.items():
        if len(values) != n_rows:
            raise ValueError(f"column {name} has {counted(len(values), 'value')}, not {n_rows}")
        kind, width, raw = _texts(name, values) if _is_text(values) else _numbers(name, values)
        heads.append((name, kind, width, len(raw)))
        parts.append(raw)
    packed = gzip.compress(b"".join(parts), _LEVEL, mtime=0)
    return Packed(
        n_rows=n_rows, columns=tuple(heads), data=base64.b64encode(packed).decode("ascii")
    )


def _is_text(values: Column) -> bool:
    return not isinstance(values, np.ndarray)


def _texts(name: str, values: Column) -> tuple[str, int, bytes]:
    if any("\n" in text for text in values):
        raise ValueError(f"a text of column {name} has a line feed")
    raw = "".join(f"{text}\n" for text in values).encode("utf-8", "replace")
    return "text", 1, raw


def _numbers(name: str, values: Column) -> tuple[str, int, bytes]:
    array = np.asarray(values)
    kind = _KINDS.get(array.dtype.name)
    if kind is None:
        raise ValueError(f"column {name} has the type {array.dtype}, not one of {list(_KINDS)}")
    width = array.shape[1] if array.ndim > 1 else 1
    little = np.ascontiguousarray(array, dtype=f"<{kind}").reshape(-1)
    planes = little.view(np.uint8).reshape(-1, little.dtype.itemsize).T
    return kind, width, planes.tobytes()
