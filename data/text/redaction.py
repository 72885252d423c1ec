"""URLs without their secrets: what may be written to a table, a report or a log.

User info, the values of a query and the fragment are taken out; scheme, host, port, path and the
names of the query stay. What was taken out leaves a short mark, so that two URLs that differ in it
only are still two: `https://host/a.jpg?sig=***#q=1f6a0c25d3b7e894`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

HIDDEN: Final = "***"

# Of the mark. A signature is too long to be guessed. A short value is not, whatever its hash: a
# slow hash, salted with the rest of the URL, makes each guess a thousand times dearer and tables
# made in advance useless. A password is in no mark: URLs that differ in it name the same thing.
_MARK_ROUNDS: Final = 1000
_MARK_BYTES: Final = 8

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
# The scheme is bounded: a long word before it would be tried from each of its letters.
_URL_IN_TEXT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,31}://[^\s\"<>`]+")
_MARK: Final = re.compile(rf"q=[0-9a-f]{{{2 * _MARK_BYTES}}}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-\[\]$%~:]{1,64}")
_CLOSING: Final = ")]}'\",.;:!"


def redact_url(url: str) -> str:
    """Return a URL without user info, query values and fragment, with a mark of what was there.

    Giving the result again changes nothing; a text that is no URL comes back as it is.
    """
    hidden, secret = _split(url)
    return f"{hidden}#q={_mark(secret, hidden)}" if secret else hidden


def redact_text(text: str) -> str:
    """Return a text in which every URL has lost its secrets, without marks.

    A URL ends at a blank, a double quote, a backtick or an angle bracket.
    """
    return _URL_IN_TEXT.sub(_redacted_match, text) if "://" in text else text


def has_user_info(url: str) -> bool:
    """Whether a URL carries a login or keys before its host."""
    match = _URL.match(url.strip())
    return match is not None and _user_info_end(url.strip()[match.end() :]) > 0


def _redacted_match(match: re.Match[str]) -> str:
    url = match[0]
    plain = url.rstrip(_CLOSING)
    return _split(plain)[0] + url[len(plain) :]


def _split(url: str) -> tuple[str, str]:
    """A URL without its secrets, and those of them that tell it from others ("" for none)."""
    match = _URL.match(url)
    if match is None:
        return url, ""
    rest = url[match.end() :]
    end = _user_info_end(rest)
    login, rest = (f"{HIDDEN}@" if end else ""), rest[end:]
    rest, hash_sign, fragment = rest.partition("#")
    path, question, query = rest.partition("?")
    hidden_query = "&".join(map(_hide_value, query.split("&"))) if query else ""
    hidden = f"{match[0]}{login}{path}{question}{hidden_query}"
    if hidden_query == query and (not fragment or _MARK.fullmatch(fragment)):
        return f"{hidden}#{fragment}" if fragment else hidden, ""
    return hidden, f"{question}{query}{hash_sign}{fragment}"


def _user_info_end(rest: str) -> int:
    """How much of what follows `://` is user info with its "@"; 0 for none.

    A password may hold slashes and question marks that nobody has escaped, as keys of object
    stores do: where what looks like a port is none, all up to the last "@" is user info.
    """
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in authority:
        return authority.rindex("@") + 1
    _, colon, port = authority.partition(":")
    if colon and not port.isdecimal() and not authority.startswith("[") and "@" in rest:
        return rest.rindex("@") + 1
    return 0


def _hide_value(part: str) -> str:
    """One part of a query with its value hidden; all of it where it is no name with a value."""
    name, equals, value = part.partition("=")
    if not part or part == HIDDEN:
        return part
    if equals and value.strip("=") and _NAME.fullmatch(name):
        return f"{name}={HIDDEN}"
    return HIDDEN


@functools.lru_cache(maxsize=4096)
def _mark(secret: str, rest: str) -> str:
    return hashlib.pbkdf2_hmac(
        "sha256",
        secret.encode("utf-8", "surrogatepass"),
        rest.encode("utf-8", "surrogatepass"),
        _MARK_ROUNDS,
        _MARK_BYTES,
    ).hex()
