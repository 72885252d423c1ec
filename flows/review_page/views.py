"""The views of the page. A new view is one module with a router, and one line here.

A view's routes are behind the guard: the host, the origin, the login, the reviewer's name and the
form token have been checked. Its pages extend `base.html.jinja` and are made by `desk.render`; its
script is a module in `static` that imports `api.js` and `keys.js`; its styles are a file of its own
in `static`, which the page names in the block `head`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter

from . import grid_view, queue_view, run_view
from .desk import NavEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One view: its routes, and its entry in the navigation; None for a view without one."""

    router: APIRouter
    nav: NavEntry | None


VIEWS: Final = (
    View(router=queue_view.router, nav=NavEntry(path="/queue", title="Queue", key="Q")),
    View(router=grid_view.router, nav=NavEntry(path="/grid", title="Grid", key="G")),
    View(router=run_view.router, nav=NavEntry(path="/runs", title="Runs", key="R")),
)
