"""Sessions: a signed cookie with the reviewer's name, and the form tokens that belong to it.

The server keeps no list of sessions: whatever it must know of one is in the cookie, signed by its
key, and expires. A form token is derived from the session, so that another site, which cannot read
the cookie, cannot forge a request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Final

from itsdangerous import BadSignature, URLSafeTimedSerializer

from .settings import PageSettings

# A session in use is signed anew after this share of its time.
_RENEWED_AFTER: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a cookie says.

    Attributes:
        session_id: Random text that form tokens are derived from.
        reviewer: Name of the reviewer; None before it was given.
        has_login: Whether the token was given.
        signed_at_s: Time of the signature, seconds since 1970; 0 for a new session.
    """

    session_id: str
    reviewer: str | None = None
    has_login: bool = False
    signed_at_s: float = 0.0


class Sessions:
    """Signature and checks of sessions and of the texts that belong to them.

    Args:
        settings: Settings of the server.
    """

    def __init__(self, settings: PageSettings) -> None:
        # Another token ends every session that was opened with the one before.
        key = hmac.digest(settings.secret, (settings.token or "").encode(), "sha256")
        self._key = key
        self._token = settings.token
        self._seconds = int(settings.session_hours * 3600)
        self._serializer = URLSafeTimedSerializer(
            key, salt="assay-review-session", signer_kwargs={"digest_method": hashlib.sha256}
        )

    def new(self) -> Session:
        """Return a session of an unknown browser."""
        return Session(session_id=secrets.token_urlsafe(18))

    def read(self, cookie: str | None) -> Session:
        """Return the session of a cookie; a new one if it is missing, forged or expired."""
        if cookie is None or len(cookie) > 4_096:
            return self.new()
        try:
            kept, signed_at = self._serializer.loads(
                cookie, max_age=self._seconds, return_timestamp=True
            )
        except BadSignature:
            return self.new()
        return Session(
            session_id=str(kept["id"]),
            reviewer=kept["reviewer"],
            has_login=bool(kept["login"]),
            signed_at_s=signed_at.timestamp(),
        )

    def sign(self, session: Session) -> str:
        """Return a session as the value of a cookie."""
        kept = {
            "id": session.session_id,
            "reviewer": session.reviewer,
            "login": session.has_login,
        }
        return str(self._serializer.dumps(kept))

    def is_ageing(self, session: Session) -> bool:
        """Return whether a session is due for a new signature."""
        return time.time() - session.signed_at_s > _RENEWED_AFTER * self._seconds

    def form_token(self, session: Session) -> str:
        """Return the text that a request of this session carries to change something."""
        return self.tag("form", session.session_id)

    def is_form_token(self, session: Session, given: str | None) -> bool:
        """Return whether a text is the form token of a session."""
        return given is not None and _same(given, self.form_token(session))

    def is_token(self, given: str) -> bool:
        """Return whether a text is the token of the login, in constant time."""
        return self._token is not None and _same(given, self._token)

    def tag(self, *parts: str) -> str:
        """Return a keyed hash of some texts, 32 hex digits, which no browser can compute."""
        joined = b"".join(len(p.encode()).to_bytes(4, "big") + p.encode() for p in parts)
        return hmac.new(self._key, joined, "sha256").hexdigest()[:32]


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), wanted.encode("utf-8", "surrogatepass")
    )
