"""Kinds of values that `assay.moderate` and `assay.score` take, as a type and in words."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image


class ArrowFrame(Protocol):
    """A frame or series: of polars, pandas, pyarrow, or another with the Arrow stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream of Arrow."""
        ...


class HubDataset(Protocol):
    """A `datasets.Dataset` of Hugging Face."""

    @property
    def features(self) -> Any:
        """Types of the columns."""
        ...

    @property
    def info(self) -> Any:
        """Name and description."""
        ...

    def with_format(self, type: Any = None) -> Any:  # noqa: A002 - the library's name
        """Return the dataset with rows of another type."""
        ...


if TYPE_CHECKING:
    Path: TypeAlias = str | PathLike[str]
    OneImage: TypeAlias = Image.Image | NDArray[np.uint8] | bytes
    Images: TypeAlias = Path | OneImage | Sequence[Path | OneImage | None] | ArrowFrame | HubDataset
    """What people hold: paths, globs and URLs, images, lists of these, frames, datasets."""
