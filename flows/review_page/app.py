"""The application of the review page."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Final

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ...data.errors import AssayError, InputError, StoreError, UnreadableImage
from ...data.store.lake import Lake
from ...tasks.grid.renditions import RenditionStore
from ...tasks.grid.snapshots import Snapshots
from ...tasks.review.journal import Journal
from . import answer_routes, assets, image_routes, login
from .desk import Desk, render
from .guard import Guard, is_page
from .image_store import ImageStore
from .sessions import Sessions
from .settings import PageSettings
from .views import VIEWS

SHARED: Final = (assets.router, login.router, image_routes.router, answer_routes.router)


def review_app(lake: Lake, settings: PageSettings) -> FastAPI:
    """Return the application that serves a lake's review page.

    Its shutdown moves the answers that wait in the journal into the lake's table.

    Args:
        lake: Lake of the images and answers.
        settings: Settings of the server.
    """
    nav = [view.nav for view in VIEWS if view.nav is not None]
    sessions = Sessions(settings)
    desk = Desk(
        lake=lake,
        settings=settings,
        sessions=sessions,
        nav=nav,
        images=ImageStore(lake),
        journal=Journal(lake),
        snapshots=Snapshots(lake),
        thumbnails=RenditionStore(lake),
    )

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        for part in (desk.snapshots, desk.thumbnails, desk.journal):
            await run_in_threadpool(part.close)

    # FastAPI's own pages of its interface load scripts from other hosts.
    app = FastAPI(
        title="assay review", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )
    app.state.desk = desk
    app.add_middleware(Guard, settings=settings, sessions=sessions)
    app.add_exception_handler(AssayError, _explain)
    app.add_exception_handler(HTTPException, _refuse)
    app.add_exception_handler(RequestValidationError, _refuse_values)
    for router in (*SHARED, *(view.router for view in VIEWS)):
        app.include_router(router)

    @app.get("/")
    def front() -> Response:
        return RedirectResponse(nav[0].path, status_code=303)

    return app


def _explain(request: Request, error: Exception) -> Response:
    """Answer with an error of assay."""
    status = 422 if isinstance(error, InputError) else 503 if isinstance(error, StoreError) else 500
    problem = str(error)
    if isinstance(error, UnreadableImage):
        problem = f"{error.reason.text} ({error.detail})"
    return _say(request, problem, status)


def _refuse(request: Request, error: Exception) -> Response:
    """Answer to a path or a method that does not exist."""
    if not isinstance(error, HTTPException):
        raise error
    return _say(request, str(error.detail), error.status_code)


def _refuse_values(request: Request, error: Exception) -> Response:
    """Answer to values of another shape, without repeating them."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _say(request, f"{where}: {first['msg']}"[:300], 422)


def _say(request: Request, problem: str, status: int) -> Response:
    """Answer with a sentence: as a page where one was requested, else as JSON."""
    if is_page(request):
        return render(request, "problem.html.jinja", status=status, problem=problem)
    return Response(
        json.dumps({"problem": problem}), status_code=status, media_type="application/json"
    )
