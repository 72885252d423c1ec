"""The review widget: messages between the page and a session.

The page draws, this side decides: an answer counts once it is on disk, and the page says so only
after the reply. Messages may come twice, out of order with replies, or not at all; the page sends
an answer again until a reply names it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from ....data.errors import AssayError
from ....data.vocabulary import ReviewReason
from .session import ReviewSession

_HERE: Final = Path(__file__).parent
_MOST_ANSWERS: Final = 200


class ReviewWidget(anywidget.AnyWidget):
    """One image at a time, or a small grid, with keys; each answer is saved at once.

    Attributes:
        session: Session of the reviewer.
        answered: Number of images of this list that the reviewer has answered.
    """

    _esm = _HERE / "widget.js"
    _css = _HERE / "widget.css"

    _reviewer = traitlets.Unicode("").tag(sync=True)
    _lake = traitlets.Unicode("").tag(sync=True)
    _start = traitlets.Int(0).tag(sync=True)
    _state = traitlets.Dict({}).tag(sync=True)
    _reasons: traitlets.List[Any] = traitlets.List([]).tag(sync=True)

    def __init__(self, session: ReviewSession) -> None:
        self.session = session
        # Known by a hash: the address of a lake may be private, and the page keeps it.
        lake = hashlib.sha256(session.lake.uri.encode("utf-8", "surrogatepass")).hexdigest()
        super().__init__(
            _reviewer=session.reviewer,
            _lake=lake[:16],
            _start=session.start,
            _state=session.state(),
            _reasons=[[word.value, word.text] for word in ReviewReason],
        )
        self.on_msg(self._receive)

    @property
    def answered(self) -> int:
        """Number of images of this list that the reviewer has answered."""
        return int(self._state["answered"])

    def close(self) -> None:
        """Close the widget, and give back the images that were not answered."""
        # At the end of the process the journal may be closed already; leases end by themselves.
        with contextlib.suppress(AssayError):
            self.session.close()
        super().close()

    def _receive(self, _widget: object, content: object, _buffers: object) -> None:
        """Answer one message of the page."""
        if not isinstance(content, Mapping):
            return
        number = content.get("number")
        try:
            reply = self._reply(content)
        except AssayError as error:
            reply = {"type": "failed", "message": str(error)}
        # The counts come before the reply, so that the page draws them together.
        self._state = self.session.state()
        self.send({**reply, "number": number})

    def _reply(self, content: Mapping[str, Any]) -> dict[str, Any]:
        kind = content.get("type")
        if kind == "look":
            start, n, size = (content.get(name) for name in ("start", "n", "size"))
            items = self.session.look(start, n, size)  # type: ignore[arg-type]  # checked there
            return {"type": "items", "size": size, "start": start, "items": items}
        entries = content.get("answers")
        if kind == "answers" and isinstance(entries, list):
            known = [entry for entry in entries[:_MOST_ANSWERS] if isinstance(entry, Mapping)]
            return {"type": "saved", **self.session.record(known)}
        return {"type": "failed", "message": f"unknown message of the page: {kind!r:.60}"}
