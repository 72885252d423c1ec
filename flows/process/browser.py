"""Display of a written page in the browser, for `--open`."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

_NEEDS_DISPLAY = ("DISPLAY", "WAYLAND_DISPLAY")


def open_page(page: str | Path | None) -> bool:
    """Open a page in the browser; print its path on stderr if that is not possible.

    Args:
        page: Path or URL of the page; None if no page has been written.

    Returns:
        Whether a browser has been started.
    """
    if page is None:
        print("assay: no page has been written", file=sys.stderr)  # noqa: T201
        return False
    address = str(page)
    is_local = "://" not in address
    if is_local:
        address = Path(page).absolute().as_uri()
    if is_local and _has_display() and _started(address):
        return True
    print(f"assay: no browser can be opened; the page is {page}", file=sys.stderr)  # noqa: T201
    return False


def _has_display() -> bool:
    """Return whether a browser could show a window; a text browser would take the terminal."""
    if sys.platform != "linux" or os.environ.get("BROWSER"):
        return True
    return any(os.environ.get(name) for name in _NEEDS_DISPLAY)


def _started(address: str) -> bool:
    try:
        return webbrowser.open(address)
    except (webbrowser.Error, OSError):
        return False
