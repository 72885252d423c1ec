"""Settings that runs of a served deployment may change.

The serving process sets them in an environment variable that its runs inherit and that Prefect's
API cannot change. URLs with secrets are passed the same way; Prefect's database stores them
redacted.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Final

from ..data.errors import ConfigError, InputError
from ..data.object_addresses import is_object, is_within, parse
from ..data.source_paths import path_of
from ..data.sources.files import is_inside
from ..data.sources.folders.globs import expand_glob, has_magic
from ..data.text.redaction import redact_url
from ..data.user_paths import from_home
from .blocks.names import is_block
from .fields.marks import ByCaller, mark_of
from .request import Request
from .settings.resolve import default_lake

VARIABLE: Final = "ASSAY_SERVED"

CALLERS_MAY_CHANGE: Final = frozenset(
    name for name, field in Request.model_fields.items() if mark_of(field, ByCaller)
)

# For runs in this process, which need no environment variable.
_secrets: dict[str, str] = {}


@contextlib.contextmanager
def kept_secrets(sources: Sequence[str]) -> Iterator[None]:
    """Keep the full URLs of redacted sources while the block runs."""
    known = {redact_url(source): source for source in sources if redact_url(source) != source}
    _secrets.update(known)
    try:
        yield
    finally:
        for name in known:
            _secrets.pop(name, None)


def lake_of_run(given: str | None) -> str:
    """Return the lake of a flow run: the parameter, else that of this machine's settings.

    Raises:
        ConfigError: It would lie in a temporary folder of the worker.
    """
    return lasting("lake", given or default_lake())


def lasting(name: str, place: str) -> str:
    """Return a path or URL that a flow run writes to.

    A process worker starts each run in a temporary folder and removes it afterwards.

    Raises:
        ConfigError: The path is relative to such a folder.
    """
    from prefect.runtime import deployment

    is_address = "://" in place or is_block(place)
    is_relative = not is_address and not from_home(place).is_absolute()
    if is_relative and deployment.id and Path.cwd().is_relative_to(tempfile.gettempdir()):
        raise ConfigError(
            f"{name} is {place!r}, which the worker would remove after the run with the folder that"
            f" it starts runs in; give the deployment an absolute path or a URL as {name}"
            + (", or set ASSAY_LAKE for the worker" if name == "lake" else "")
        )
    return place


def with_roots(request: Request) -> Request:
    """Return a request with roots: those given, else the folders of its sources."""
    if request.roots:
        return request
    places = [place for place in map(_place_of, request.sources) if place is not None]
    return request.changed(roots=tuple(dict.fromkeys(places)))


def announce(request: Request) -> None:
    """Set the request that limits runs of this process's deployment."""
    os.environ[VARIABLE] = json.dumps(request.settings())


def confined(request: Request) -> Request:
    """Return the request with its secrets, if the deployment allows it.

    Raises:
        ConfigError: The request changes a setting that the deployment pins.
        InputError: A source is outside the deployment's roots.
    """
    pinned_json = os.environ.get(VARIABLE)
    if pinned_json is None:
        return _revealed(request, _secrets)
    pinned = Request(**json.loads(pinned_json))
    for name, given in request.settings().items():
        if name in CALLERS_MAY_CHANGE or given == getattr(pinned, name):
            continue
        raise ConfigError(
            f"this deployment does not let runs change {name}; allowed: "
            f"{', '.join(sorted(CALLERS_MAY_CHANGE))}"
        )
    own = {redact_url(source): source for source in pinned.sources}
    for source in request.sources:
        if source not in own and source not in pinned.sources:
            _require_inside(source, pinned.roots)
    return _revealed(request, own)


def _revealed(request: Request, known: dict[str, str]) -> Request:
    sources = tuple(known.get(source, source) for source in request.sources)
    return request.changed(sources=sources)


def _require_inside(source: str, roots: tuple[str, ...]) -> None:
    allowed = ", ".join(roots) or "none"
    if is_object(source) and any(is_within(source, root) for root in roots if is_object(root)):
        return
    path = path_of(source)
    if path is None:
        raise InputError(
            f"{source}: this deployment accepts its own URLs only; other sources must be below: "
            f"{allowed}"
        )
    real_roots = [os.path.realpath(root) for root in roots if not is_object(root)]
    is_glob = has_magic(path) and not os.path.lexists(path)
    for found in expand_glob(path) if is_glob else (path,):
        if not any(is_inside(os.path.realpath(found), root) for root in real_roots):
            raise InputError(f"{source}: outside the folders of this deployment: {allowed}")


def _place_of(source: str) -> str | None:
    """Return the folder or the prefix of a source; None for a URL."""
    path = path_of(source)
    if path is not None:
        return _folder_of(path)
    return _prefix_of(source) if is_object(source) else None


def _prefix_of(address: str) -> str:
    """Return an address without the parts of a glob and, by its suffix, without a file's name."""
    name = parse(address)
    parts = list(takewhile(lambda part: not has_magic(part), name.key.strip("/").split("/")))
    if not has_magic(name.key) and "." in parts[-1]:
        parts.pop()
    return name.with_key("/".join(parts))


def _folder_of(path: str) -> str:
    folder = Path(path)
    if not folder.is_dir():
        folder = folder.parent
    while has_magic(str(folder)) and not folder.exists():
        folder = folder.parent
    return str(folder)
