"""Headless Chromium for the tests of pages, and what they ask of a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Notes when the stage has another image after a key, and whether it can be seen then.
WATCH = """
addEventListener("keydown", (event) => { window.pressedMs = event.timeStamp; }, true);
window.swaps = [];
addEventListener("DOMContentLoaded", () => {
  new MutationObserver(() => {
    const pressedMs = window.pressedMs;
    const image = document.querySelector("#stage img.main");
    if (!image || pressedMs === undefined) return;
    window.pressedMs = undefined;
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => window.swaps.push({
        ms: performance.now() - pressedMs,
        isThere: image.isConnected && image.complete && image.naturalWidth > 0,
      });
      painted.port2.postMessage(0);
    });
  }).observe(document.getElementById("stage") ?? document.body, { childList: true });
});
"""


def chromium_path() -> str:
    """Return the path of Chromium; the test fails with what to install where there is none."""
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    pytest.fail("Chromium is missing: apt-get install chromium, or run `make test-browser` as root")


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser for the block."""
    from playwright.sync_api import sync_playwright

    path = chromium_path()
    with sync_playwright() as playwright:
        # The tests run as root, in containers with little shared memory.
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


class Tab:
    """A page in a browser of its own, with what went wrong in it.

    Args:
        browser: Browser from `chromium`.
        url: Address of the server.
        options: Options of the context, such as `viewport`.
    """

    def __init__(self, browser: Any, url: str, **options: Any):
        self.url = url
        self.context = browser.new_context(**options)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.page = self.context.new_page()
        self.page.add_init_script(WATCH)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.problems.append(message.text)

    def review_as(self, name: str, path: str = "/queue") -> Tab:
        """Give a name and open a view, by keys alone."""
        self.page.goto(self.url + "/name")
        self.page.wait_for_selector("#name:focus")
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        self.page.wait_for_url(self.url + "/queue")
        if path != "/queue":
            self.page.goto(self.url + path)
        return self

    def image_id(self, *, after: str | None = None) -> str:
        """Return the image on the stage, once there is another one than a given one."""
        other = f":not([data-src*='{after}'])" if after else ""
        self.page.wait_for_selector(f"#stage img.main{other}", state="attached", timeout=60_000)
        return self.page.evaluate(
            "document.querySelector('#stage img.main').dataset.src.split('/')[2]"
        )

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def wait_until_saved(self) -> None:
        """Wait until the server has acknowledged every answer."""
        self.page.wait_for_selector("#saved:not(.waiting)", timeout=60_000)

    def close(self) -> None:
        """Close the browser, and fail if a script failed in it."""
        self.context.close()
        assert self.problems == []


def serious(page: Any, part: str | None = None) -> list[str]:
    """Return what axe-core finds serious or critical on a page or a part, with the elements."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context=part).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


def is_wider_than_its_window(page: Any) -> bool:
    """Return whether a reader has to scroll a page sideways."""
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
