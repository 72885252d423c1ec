"""`assay.moderate(...)`: a run from Python, in a notebook or a script, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from ...data.errors import ConfigError
from ...data.source_paths import scheme_of
from ...data.sources.memory.held_rows import SCHEME as IN_MEMORY
from ..inputs.held import texts_of
from ..settings.faces import Keywords
from ..settings.resolve import request_of
from ..start import start
from .signatures import require_known, show_settings
from .stopped import told_when_stopped

if TYPE_CHECKING:
    from ..inputs.kinds import Images
    from ..results.moderation import Moderation


def moderate(
    *sources: Images,
    name: str | None = None,
    server: bool = False,
    quiet: bool = False,
    **settings: Unpack[Keywords],
) -> Moderation:
    """Ingest, score and decide images, and write a report, as `assay moderate` does.

    Images in memory are stored as files: a Pillow image that still has the pixels of the file it
    was opened from keeps the bytes of that file, any other image and every array becomes a PNG of
    its pixels. A row is the item `memory:///NAME!ROW`; a list of paths alone is a list of sources.
    A setting that is not given is taken from the `ASSAY_*` variables, then from `assay.toml`, then
    from the defaults.

    Args:
        *sources: Files, folders, globs, archives, tables or URLs; Pillow images, uint8 arrays
            (height, width, channels), encoded bytes, or a list of these; frames of polars, pandas
            or pyarrow with an image or path column; a `datasets.Dataset`. Without sources, the
            whole lake is scored.
        name: Name of images in memory [default: `images`, `frame`, or that of the dataset].
        server: Whether to run as a Prefect flow instead of plain functions.
        quiet: Whether to hide progress.
        **settings: Settings of the run, as below.

    Returns:
        Counts of the run, and access to its rows; a cell of a notebook draws them.

    Raises:
        AssayError: The source, the lake, the detector or the policy cannot be used.
        ConfigError: A setting does not exist, or a value is not allowed.
        InputError: An array is not uint8 or no image, or a frame has no image column.
        KeyboardInterrupt: The run was interrupted; the same call resumes it.
        TypeError: A source or a setting has another type, such as a generator.

    Examples:
        >>> import numpy as np
        >>> import assay
        >>> grey = np.full((480, 640), 128, dtype=np.uint8)
        >>> result = assay.moderate([grey, grey], lake="lake", detector="mini", quiet=True)
        >>> result.items, result.stored, result.duplicates
        (2, 1, 1)
        >>> result.to_polars().select("source_uri", "status").rows()
        [('memory:///images!0', 'stored'), ('memory:///images!1', 'duplicate')]
    """
    require_known(dict(settings), Keywords)
    given: dict[str, Any] = dict(settings)
    if given.get("lake", "") is None:
        del given["lake"]
    request = request_of(**given)
    with told_when_stopped(), texts_of(sources, request.source_options, name=name) as texts:
        if server and any(scheme_of(text) == IN_MEMORY for text in texts):
            raise ConfigError(
                "server is True, and a source is images in memory, which a Prefect flow cannot be"
                " sent; save them to a folder and pass its path, or leave server out"
            )
        return start(request.changed(sources=texts), server=server, quiet=quiet)


show_settings(moderate, Keywords)
