"""Browsers of the review page, without a browser: clients that send what one sends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from assay.data.store.lake import Lake
from assay.flows.review_page.app import review_app
from assay.flows.review_page.settings import PageSettings

SECRET = b"signing key of the tests, 32 byte"
TOKEN = "a token of sixteen letters and more"
ADDRESS = "http://127.0.0.1:8787"


def stranger(lake: Lake | Path, **settings: Any) -> TestClient:
    """Return a browser that has not been here before; it follows no redirects."""
    opened = lake if isinstance(lake, Lake) else Lake(lake)
    app = review_app(opened, PageSettings(secret=SECRET, **settings))
    address = ADDRESS.replace("http:", "https:") if settings.get("is_https") else ADDRESS
    return TestClient(
        app, base_url=address, follow_redirects=False, headers={"Accept": "text/html"}
    )


def reviewer(lake: Lake | Path, name: str = "ada", **settings: Any) -> TestClient:
    """Return a browser whose reviewer has given a name, and a token where one is needed.

    Its requests carry the form token.
    """
    client = stranger(lake, **settings)
    if "token" in settings:
        submit(client, "/login", token=settings["token"])
    submit(client, "/name", name=name)
    client.headers["X-Form-Token"] = form_token(client.get("/queue").text)
    return client


def submit(client: TestClient, path: str, **fields: str) -> Any:
    """Fill in and send a form, and return the answer."""
    fields = {"form_token": form_token(client.get(path).text)} | fields
    return client.post(path, data=fields)


def form_token(page: str) -> str:
    """Return the form token of a page."""
    return re.search(r'name="form-token" content="(\w+)"', page)[1]
