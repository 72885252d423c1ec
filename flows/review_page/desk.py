"""What the views of one server share: lake, settings, sessions, navigation, templates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse

from ...data.store.lake import Lake
from ...tasks.grid.renditions import RenditionStore
from ...tasks.grid.snapshots import Snapshots
from ...tasks.pages.environment import environment
from ...tasks.review.journal import Journal
from .assets import STATIC_DIGEST
from .image_store import ImageStore
from .sessions import Session, Sessions
from .settings import PageSettings

TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class NavEntry:
    """One entry of the navigation.

    Attributes:
        path: Path of the view, such as `/queue`.
        title: Title in the navigation.
        key: Capital letter, which is pressed with shift.
    """

    path: str
    title: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """State of one server, the same for all requests.

    Attributes:
        lake: Lake of the images and answers.
        settings: Settings of the server.
        sessions: Signature and checks of sessions.
        nav: Entries of the navigation, in order.
        images: Images as the page shows them.
        journal: Writer of answers, and leases.
        snapshots: Images in memory, for views that list them.
        thumbnails: Veils and thumbnails of the images.
    """

    lake: Lake
    settings: PageSettings
    sessions: Sessions
    nav: Sequence[NavEntry]
    images: ImageStore
    journal: Journal
    snapshots: Snapshots
    thumbnails: RenditionStore


def desk_of(request: Request) -> Desk:
    """Return the desk of a request; a dependency of routes."""
    desk: Desk = request.app.state.desk
    return desk


def session_of(request: Request) -> Session:
    """Return the session of a request."""
    session: Session = request.state.session
    return session


def reviewer_of(request: Request) -> str:
    """Return the name of the reviewer, which every view behind the guard has; a dependency."""
    reviewer = session_of(request).reviewer
    if reviewer is None:
        raise RuntimeError("a route without a reviewer was reached past the guard")
    return reviewer


def render(request: Request, template: str, /, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page or a part of one from a template of this folder.

    Templates of whole pages extend `base.html.jinja`. Every template has the values `desk`, `here`
    (the path), `reviewer`, `form_token`, `now_ms` and `static` (the path of scripts and styles).

    Args:
        request: Request that is answered.
        template: File name in `templates`.
        status: HTTP status.
        values: Further values of the template.
    """
    desk, session = desk_of(request), session_of(request)
    html = (
        environment(TEMPLATES)
        .get_template(template)
        .render(
            desk=desk,
            here=request.url.path,
            reviewer=session.reviewer,
            form_token=desk.sessions.form_token(session),
            static=f"/static/{STATIC_DIGEST}",
            now_ms=round(1000 * time.time()),
            **values,
        )
    )
    return HTMLResponse(html, status_code=status)
