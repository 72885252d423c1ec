"""From what people hold to the texts of sources: paths as they are, rows in memory under a name."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from ...data.errors import ConfigError, InputError
from ..fields.plain_values import source_text, type_name

if TYPE_CHECKING:
    from ...data.sources.items import SourceOptions
    from ...data.sources.memory.held_rows import HeldRows
    from .kinds import Images

_ALLOWED: Final = (
    "allowed: paths, globs and URLs; Pillow images, uint8 arrays (height, width, channels) and"
    " encoded bytes; lists of these; frames of polars, pandas and pyarrow; a datasets.Dataset"
)
_ADVICE: Final[tuple[tuple[str, str, str], ...]] = (
    # Package, class, what to do.
    ("polars", "LazyFrame", "call .collect(), or .sink_parquet(path) and pass the path"),
    ("datasets", "DatasetDict", "pass one of its splits, such as data['train']"),
    ("datasets", "IterableDatasetDict", "pass one split, loaded without streaming=True"),
    ("datasets", "IterableDataset", "load it without streaming=True, so that rows have numbers"),
    ("datasets", "Column", "pass the dataset itself, and name the column with image_column"),
    ("pyarrow", "RecordBatchReader", "call .read_all(), or write Parquet and pass its path"),
    ("torch", "Tensor", "pass tensor.cpu().numpy(), uint8 with channels last: .permute(1, 2, 0)"),
    ("jax", "Array", "pass numpy.asarray(array), uint8 with channels last"),
    ("tensorflow", "Tensor", "pass tensor.numpy(), uint8 with channels last"),
)
_MAX_NAME_CHARS: Final = 100


@contextlib.contextmanager
def texts_of(
    things: Sequence[Images], options: SourceOptions, *, name: str | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield the texts of sources for the values of a call; rows in memory are held for the block.

    Args:
        things: Arguments of the caller.
        options: Settings of listing and reading.
        name: Name of rows in memory [default: `images`, `frame`, or the dataset's own].

    Raises:
        ConfigError: The name is empty, too long or not printable.
        InputError: A list is empty, an array is no image, or a frame has no image column.
        TypeError: A value is of another kind; the message says what to pass.
    """
    if name is not None and not (
        name.strip() and name.isprintable() and len(name) <= _MAX_NAME_CHARS
    ):
        raise ConfigError(
            f"name is {name[:80]!a}; allowed: 1 to {_MAX_NAME_CHARS} printable characters"
        )
    names: dict[str, int] = {}
    with contextlib.ExitStack() as held:
        texts: list[str] = []
        for place, thing in enumerate(things, 1):
            if (paths := _as_paths(thing, place)) is not None:
                texts += paths
                continue
            from ...data.sources.memory.held_rows import holding

            plain = name or default_name(thing)
            names[plain] = names.get(plain, 0) + 1
            unique = plain if names[plain] == 1 else f"{plain}-{names[plain]}"
            texts.append(held.enter_context(holding(rows_of(thing, unique, options, place=place))))
        yield tuple(texts)


def rows_of(thing: Any, name: str, options: SourceOptions, *, place: int = 1) -> HeldRows:
    """Return the rows of a value in memory.

    Args:
        thing: Images, a frame or a dataset.
        name: Name in the addresses of the items.
        options: Settings of listing and reading.
        place: Number of the argument, for messages.

    Raises:
        InputError: A list is empty, an array is no image, or a frame has no image column.
        TypeError: The value is of another kind; the message says what to pass.
    """
    if is_of(thing, "datasets", "Dataset"):
        from ...data.sources.memory.hub_dataset import DatasetRows

        return DatasetRows(thing, name, options)
    if _is_frame(thing):
        from ...data.sources.memory.frame import FrameRows

        return FrameRows(thing, name, options)
    from ...data.sources.memory.image_list import ImageList

    return ImageList(_cells_of(thing, place), name, options)


def default_name(thing: Any) -> str:
    """Return the name of rows in memory: that of a dataset and its split, `frame` or `images`."""
    if is_of(thing, "datasets", "Dataset"):
        parts = (thing.info.dataset_name or thing.info.builder_name or "dataset", thing.split)
        return "-".join(str(part) for part in parts if part)[:_MAX_NAME_CHARS]
    return "frame" if _is_frame(thing) else "images"


def is_of(thing: object, package: str, name: str) -> bool:
    """Return whether a value is an instance of a class of a package, without importing it."""
    return package in sys.modules and any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == package
        for kind in type(thing).__mro__
    )


def _is_frame(thing: object) -> bool:
    """Return whether a value is a frame or a series, once more readable than a stream is."""
    if any(is_of(thing, "pandas", name) for name in ("DataFrame", "Series")):
        return True
    return hasattr(thing, "__arrow_c_stream__") and not _advice_on(thing)


def _as_paths(thing: object, place: int) -> list[str] | None:
    """Return the paths, globs and URLs of a value; None for any other."""
    if isinstance(thing, str | PathLike):
        return [source_text(place, thing)]
    if isinstance(thing, set | frozenset):
        thing = sorted(thing, key=str)
    if not isinstance(thing, list | tuple) or not thing:
        return None
    is_paths = all(isinstance(one, str | PathLike) for one in thing)
    return [source_text(place, one) for one in thing] if is_paths else None


def _cells_of(thing: Any, place: int) -> Sequence[object]:
    """Return the images of a value, one per row."""
    seen = f"source {place} is {type_name(thing)}"
    if isinstance(thing, bytes | bytearray) or is_of(thing, "PIL", "Image"):
        return [thing]
    if is_of(thing, "numpy", "ndarray"):
        if thing.dtype == object:
            return _cells_of(thing.tolist(), place)
        return thing if thing.ndim == 4 else [thing]
    if isinstance(thing, Iterator):
        raise TypeError(
            f"{seen}, which gives its images once; a run that is interrupted reads them again."
            " Pass a list, or save the images to a folder and pass its path"
        )
    if isinstance(thing, list | tuple):
        if not thing:
            raise InputError(f"{seen} without an image; {_ALLOWED}")
        for row, cell in enumerate(thing):
            check_cell_kind(cell, f"[{row}] of source {place}")
        return thing
    raise TypeError(f"{seen}; {_advice_on(thing) or _ALLOWED}")


def check_cell_kind(cell: object, where: str) -> None:
    """Refuse an element of a list that can be no image.

    Args:
        cell: Element of a list or a generator.
        where: Place of the element, for the message.

    Raises:
        TypeError: The element is of another kind; the message says what to pass.
    """
    is_known = (
        cell is None
        or isinstance(cell, str | PathLike | bytes | bytearray)
        or is_of(cell, "PIL", "Image")
        or is_of(cell, "numpy", "ndarray")
        or (isinstance(cell, Mapping) and {"bytes", "path"} & cell.keys())
    )
    if not is_known:
        raise TypeError(f"{where} is {type_name(cell)}; {_advice_on(cell) or _ALLOWED}")


def _advice_on(thing: object) -> str:
    """Return what to do with a value of a known kind that is not taken; "" for any other."""
    return next((what for package, name, what in _ADVICE if is_of(thing, package, name)), "")
