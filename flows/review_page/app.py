"""The application of the review page."""

from __future__ import annotations

import json

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse

from ...data.errors import AssayError, InputError, StoreError
from ...data.store.lake import Lake
from . import assets, image_routes, login
from .desk import Desk, render
from .guard import Guard
from .image_store import ImageStore
from .sessions import Sessions
from .settings import PageSettings
from .views import VIEWS


def review_app(lake: Lake, settings: PageSettings) -> FastAPI:
    """Return the application that serves a lake's review page.

    Args:
        lake: Lake of the images and answers.
        settings: Settings of the server.
    """
    # FastAPI's own pages of its interface load scripts from other hosts.
    app = FastAPI(title="assay review", docs_url=None, redoc_url=None, openapi_url=None)
    nav = [view.nav for view in VIEWS if view.nav is not None]
    sessions = Sessions(settings)
    app.state.desk = Desk(
        lake=lake, settings=settings, sessions=sessions, nav=nav, images=ImageStore(lake)
    )
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    app.add_exception_handler(AssayError, _explain)
    for router in (
        assets.router,
        login.router,
        image_routes.router,
        *(view.router for view in VIEWS),
    ):
        app.include_router(router)

    @app.get("/")
    def front() -> Response:
        return RedirectResponse(nav[0].path, status_code=303)

    return app


def _explain(request: Request, error: Exception) -> Response:
    """Answer with an error of assay in words: as a page where one was requested, else as JSON."""
    status = 422 if isinstance(error, InputError) else 503 if isinstance(error, StoreError) else 500
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return render(request, "problem.html.jinja", status=status, problem=str(error))
    return Response(
        json.dumps({"problem": str(error)}), status_code=status, media_type="application/json"
    )
