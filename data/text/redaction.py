"""URLs without secrets, for tables, reports and logs.

User info, query values and the fragment are removed; scheme, host, port, path and query names
stay. A short mark (a hash of the removed text) keeps URLs distinct that differ only in it:
`https://host/a.jpg?sig=***#q=1f6a0c25d3b7e894`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

HIDDEN: Final = "***"

# A signature is too long to be guessed from the mark; a short value is not. A slow hash, salted
# with the rest of the URL, makes each guess a thousand times more expensive and precomputed tables
# useless. The mark never covers a password: URLs that differ only in it name the same image.
_MARK_ROUNDS: Final = 1000
_MARK_BYTES: Final = 8

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")
# Bounded length of the scheme: a long word would otherwise be tried from each of its letters.
_URL_IN_TEXT: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,31}://[^\s\"<>`]+")
_MARK: Final = re.compile(rf"q=[0-9a-f]{{{2 * _MARK_BYTES}}}")
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-\[\]$%~:]{1,64}")
_CLOSING: Final = ")]}'\",.;:!"


def redact_url(url: str) -> str:
    """Return a URL without user info, query values and fragment, with a mark of the removed text.

    The function is idempotent; a text that is not a URL is returned unchanged.
    """
    hidden, secret = _split(url)
    return f"{hidden}#q={_mark(secret, hidden)}" if secret else hidden


def redact_text(text: str) -> str:
    """Return a text with the secrets of every URL removed, without marks.

    A URL ends at white space, a double quote, a backtick or an angle bracket.
    """
    return _URL_IN_TEXT.sub(_redacted_match, text) if "://" in text else text


def has_user_info(url: str) -> bool:
    """Return whether a URL has user info, such as a login or keys, before its host."""
    match = _URL.match(url.strip())
    return match is not None and _user_info_end(url.strip()[match.end() :]) > 0


def _redacted_match(match: re.Match[str]) -> str:
    url = match[0]
    plain = url.rstrip(_CLOSING)
    return _split(plain)[0] + url[len(plain) :]


def _split(url: str) -> tuple[str, str]:
    """Return a URL without secrets, and the removed text that the mark covers ("" for none)."""
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
    """Return the length of the user info after `://`, including its "@"; 0 for none.

    A password may contain unescaped slashes and question marks, as keys of object stores do: if
    the text after the colon is not a port, everything up to the last "@" is user info.
    """
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    if "@" in authority:
        return authority.rindex("@") + 1
    _, colon, port = authority.partition(":")
    if colon and not port.isdecimal() and not authority.startswith("[") and "@" in rest:
        return rest.rindex("@") + 1
    return 0


def _hide_value(part: str) -> str:
    """Return one part of a query with its value hidden; all hidden if it is not `name=value`."""
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
