"""The forms before the views: the token of the login, and the reviewer's name."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Final
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from ...data.errors import InputError
from ...tasks.review.answer import require_reviewer
from .desk import desk_of, render, session_of
from .guard import LOGIN, LOGOUT, NAME

# Slows down guessing; a token has at least 16 characters.
_WRONG_TOKEN_S: Final = 0.5
_MAX_FORM_BYTES: Final = 100_000

router = APIRouter()


@router.get(LOGIN)
def login_page(request: Request, after: str = "/") -> Response:
    """Show the form for the token."""
    if not desk_of(request).settings.needs_login or session_of(request).has_login:
        return _to(after)
    return render(request, "login.html.jinja", problem=None, after=after)


@router.post(LOGIN)
async def log_in(request: Request) -> Response:
    """Check the token and open a session."""
    desk, session = desk_of(request), session_of(request)
    form = await _form(request)
    after = form.get("after", "/")
    problem = _stale(request, form)
    if problem is None and not desk.sessions.is_token(form.get("token", "")):
        await asyncio.sleep(_WRONG_TOKEN_S)
        problem = "This is not the token. It is in the file that the server named when it started."
    if problem is not None:
        return render(request, "login.html.jinja", status=403, problem=problem, after=after)
    # A new id: a form token that was seen before the login is worth nothing after it.
    request.state.session = dataclasses.replace(
        desk.sessions.new(), reviewer=session.reviewer, has_login=True
    )
    return _to(after)


@router.get(NAME)
def name_page(request: Request, after: str = "/") -> Response:
    """Show the form for the reviewer's name."""
    return render(request, "name.html.jinja", problem=None, name="", after=after)


@router.post(NAME)
async def set_name(request: Request) -> Response:
    """Check the reviewer's name and keep it in the session."""
    form = await _form(request)
    after, name = form.get("after", "/"), form.get("name", "").strip()
    problem = _stale(request, form) or _problem_with(name)
    if problem is not None:
        return render(
            request, "name.html.jinja", status=422, problem=problem, name=name[:200], after=after
        )
    request.state.session = dataclasses.replace(session_of(request), reviewer=name)
    return _to(after)


@router.post(LOGOUT)
async def log_out(request: Request) -> Response:
    """End the session in this browser; images that the browser kept are cleared."""
    form = await _form(request)
    if _stale(request, form) is None:
        request.state.session = desk_of(request).sessions.new()
    answer = _to("/")
    answer.headers["Clear-Site-Data"] = '"cache"'
    return answer


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a posted form, each by its last value."""
    raw = await request.body()
    if len(raw) > _MAX_FORM_BYTES:
        return {}
    fields = parse_qs(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {name: values[-1] for name, values in fields.items()}


def _problem_with(name: str) -> str | None:
    """Return what is wrong with a reviewer's name, or None."""
    if not name:
        return "The name is empty. It is stored with every answer."
    try:
        require_reviewer(name)
    except InputError as error:
        return str(error)
    return None


def _stale(request: Request, form: dict[str, str]) -> str | None:
    """Return the problem with a form that another session or no page of this server has sent."""
    sessions = desk_of(request).sessions
    if sessions.is_form_token(session_of(request), form.get("form_token")):
        return None
    return "The form was too old. It is a new one now: send it again."


def _to(after: str) -> RedirectResponse:
    """Return the way to a path of this server; to the front page for any other address."""
    parts = urlsplit(after)
    is_own = after.startswith("/") and not after.startswith(("//", "/\\")) and not parts.netloc
    return RedirectResponse(after if is_own else "/", status_code=303)
