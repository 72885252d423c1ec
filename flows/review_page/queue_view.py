"""The queue view: one image at a time, answered by keys."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from .desk import render

router = APIRouter()


@router.get("/queue")
def queue_page(request: Request) -> Response:
    """Show the queue."""
    return render(request, "queue.html.jinja")
