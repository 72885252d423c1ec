"""A page as a browser takes it in: tags, texts and scripts, and what it may not do."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from typing import Any

DATA_TYPES = {"application/json", "text/plain"}


class Page(HTMLParser):
    """Tags with attributes, the text outside styles and scripts, and the scripts."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._words: list[str] = []
        self._inside = ""
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag."""
        self.tags.append((tag, dict(attrs)))
        if tag in {"style", "script"}:
            self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        """Keep words, and the text of a script apart."""
        if self._inside == "script":
            attrs, text = self.scripts[-1]
            self.scripts[-1] = (attrs, text + data)
        elif not self._inside:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        """End a style sheet or a script at its closing tag."""
        if tag == self._inside:
            self._inside = ""

    def attributes(self, tag: str, name: str) -> list[str]:
        """Return the values of one attribute, in the order of the page."""
        return [attrs[name] or "" for seen, attrs in self.tags if seen == tag and name in attrs]

    def data(self, element_id: str) -> str:
        """Return the text of a script element with data."""
        return next(text for attrs, text in self.scripts if attrs.get("id") == element_id)

    def json(self, element_id: str) -> Any:
        """Return the value of a script element with JSON."""
        return json.loads(self.data(element_id))

    @property
    def code(self) -> list[str]:
        """Scripts that a browser would run."""
        return [text for attrs, text in self.scripts if attrs.get("type") not in DATA_TYPES]

    @property
    def policy(self) -> dict[str, str]:
        """Directives of the Content-Security-Policy."""
        policies = [
            attrs["content"] or ""
            for tag, attrs in self.tags
            if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
        ]
        assert len(policies) == 1
        parts = (directive.strip().partition(" ") for directive in policies[0].split(";"))
        return {name: value for name, _, value in parts}


def assert_is_closed(page: Page) -> None:
    """No request, no handler, no link out of the page, and no script but those allowed by hash."""
    for tag, attrs in page.tags:
        assert tag not in {"iframe", "object", "embed", "link", "base", "form"}
        for name, value in attrs.items():
            assert not name.startswith("on")
            if name == "href":
                assert (value or "").startswith("#")
            if name in {"src", "srcset", "action", "data", "poster"}:
                assert (value or "").startswith("data:image/webp;base64,")
    policy = page.policy
    assert policy["default-src"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    hashes = {
        f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"
        for code in page.code
    }
    assert set(policy.get("script-src", "").split()) == hashes


def assert_is_well_formed(html: str) -> None:
    """Every element is closed in its parent, and no two have one id."""
    _Nesting(html)


class _Nesting(HTMLParser):
    """Elements that are open, from the outermost."""

    void = frozenset({"meta", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self._ids: set[str] = set()
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        if tag not in self.void and "svg" not in self._open:
            self._open.append(tag)
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        for name, value in attrs:
            if name == "id":
                assert value not in self._ids, value
                self._ids.add(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Pass an element of SVG that closes itself."""
        assert "svg" in self._open, self.getpos()

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost element."""
        if "svg" in self._open and tag != "svg":
            return
        assert self._open.pop() == tag, (tag, self.getpos())
