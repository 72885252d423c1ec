"""The checks that every request passes before a view sees it, and the headers of every answer.

In this order: the name by which the server was addressed, against pages that rebind their own name
to this address; the origin of a request that changes something; the login and the reviewer's name;
the form token. A new view is behind all of them without doing anything.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import socket
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .sessions import Session, Sessions
from .settings import PageSettings

FORM_HEADER: Final = "X-Form-Token"
MAX_BODY_BYTES: Final = 1_000_000
# Reached without a login; `login` and `name` check their form tokens themselves, in the form.
STATIC: Final = "/static/"
LOGIN: Final = "/login"
NAME: Final = "/name"
LOGOUT: Final = "/logout"
_FORMS: Final = (LOGIN, NAME, LOGOUT)
_SAFE: Final = ("GET", "HEAD")

_CSP: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_AGAIN: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="0">
<title>assay review</title></head><body><p>Opening the page ...</p></body></html>
"""
_HEADERS: Final = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`, with which browsers send the origin `null` from forms of this page.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex, nofollow",
}


class Guard:
    """ASGI middleware with the checks and the headers.

    Args:
        app: Application behind the checks.
        settings: Settings of the server.
        sessions: Signature and checks of sessions.
    """

    def __init__(self, app: ASGIApp, *, settings: PageSettings, sessions: Sessions) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, and answer it or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        cookie = request.cookies.get(self._settings.cookie)
        kept = self._sessions.read(cookie)
        request.state.session = kept

        # Links on other sites and in local files bring no `SameSite=Strict` cookie along.
        is_linked = cookie is None and is_page(request) and _site(request) == "cross-site"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                self._set_headers(headers, request)
                if not is_linked:
                    self._set_cookie(headers, request, kept)
            await send(message)

        refusal = self._refusal(request)
        if is_linked and (refusal is None or refusal.status_code == 303):
            # The page loads itself again, and that request has the cookie.
            refusal = HTMLResponse(_AGAIN)
        if refusal is not None:
            await refusal(scope, receive, sending)
        else:
            await self._app(scope, _bounded(receive, request.headers), sending)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that no view may see; None for any other."""
        host = request.headers.get("host", "")
        if not is_allowed_host(host, self._settings):
            return PlainTextResponse(
                f"this server is not called {host[:200]!r}; use its address, or start it with"
                " --allow-host NAME\n",
                status_code=421,
            )
        is_safe = request.method in _SAFE
        if not is_safe and not _is_same_origin(request):
            return PlainTextResponse("the request comes from another site\n", status_code=403)
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            return PlainTextResponse(
                f"a request of {length[:20]} bytes; allowed: {MAX_BODY_BYTES}\n", status_code=413
            )
        path = request.url.path
        if path.startswith(STATIC):
            return None
        session: Session = request.state.session
        if self._settings.needs_login and not session.has_login and path != LOGIN:
            return _ask_first(request, LOGIN, "the login has expired; log in again")
        if session.reviewer is None and path not in _FORMS:
            return _ask_first(request, NAME, "the reviewer's name is missing; give it again")
        if not is_safe and path not in _FORMS:
            given = request.headers.get(FORM_HEADER)
            if not self._sessions.is_form_token(session, given):
                return _problem("the form token is missing or too old; load the page again", 403)
        return None

    def _set_headers(self, headers: MutableHeaders, request: Request) -> None:
        for name, value in _HEADERS.items():
            headers[name] = value
        if self._settings.no_store or "cache-control" not in headers:
            headers["Cache-Control"] = "no-store"

    def _set_cookie(self, headers: MutableHeaders, request: Request, before: Session) -> None:
        after: Session = request.state.session
        is_static = request.url.path.startswith(STATIC)
        if after != before or (not is_static and self._sessions.is_ageing(after)):
            headers.append("Set-Cookie", self._cookie(after))

    def _cookie(self, session: Session) -> str:
        value = self._sessions.sign(session)
        seconds = int(self._settings.session_hours * 3600)
        secure = "; Secure" if self._settings.is_https else ""
        return (
            f"{self._settings.cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly;"
            f" SameSite=Strict{secure}"
        )


def is_allowed_host(host: str, settings: PageSettings) -> bool:
    """Return whether a browser may address the server by a `Host` header.

    Addresses in numbers are allowed: a page that rebinds its name to this server has a name.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name or "@" in host or "/" in host:
        return False
    name = name.rstrip(".")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        names = {"localhost", *(known.lower() for known in settings.allowed_hosts)}
        if settings.needs_login:
            names |= {settings.host.lower(), *_own_names()}
        return name in names
    return True


@functools.cache
def _own_names() -> frozenset[str]:
    return frozenset({socket.gethostname().lower(), socket.getfqdn().lower()})


def _is_same_origin(request: Request) -> bool:
    """Return whether a request was made by a page of this server, or by no page at all.

    Browsers send an `Origin` with every request of a page that changes something. The scheme is
    left out of the comparison: a proxy may end TLS.
    """
    if _site(request) not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    host = request.headers.get("host", "").lower()
    return urlsplit(origin).scheme in {"http", "https"} and origin.lower().endswith(f"://{host}")


def _site(request: Request) -> str:
    return request.headers.get("sec-fetch-site", "same-origin")


def is_page(request: Request) -> bool:
    """Return whether a browser wants a page, not an image or a script's data."""
    return request.method in _SAFE and "text/html" in request.headers.get("accept", "")


def _ask_first(request: Request, path: str, message: str) -> Response:
    if is_page(request):
        after = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"{path}?after={quote(after, safe='')}", status_code=303)
    return _problem(message, 401)


def _problem(message: str, status: int) -> Response:
    return Response(
        json.dumps({"problem": message}), status_code=status, media_type="application/json"
    )


def _bounded(receive: Receive, headers: Headers) -> Receive:
    """Return a receiver that ends a request whose body has no stated length and is too long."""
    if "content-length" in headers:
        return receive
    n_bytes = 0

    async def received() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > MAX_BODY_BYTES:
            return {"type": "http.disconnect"}
        return message

    return received
