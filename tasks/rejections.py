"""What to do about rejected items, one sentence per closed reason, and the order of reasons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..data.vocabulary import Reason

REMEDIES: Final[Mapping[Reason, str]] = {
    Reason.SAME_BYTES: "Nothing needs to be done; the image is stored and scored once.",
    Reason.EMPTY: "Export or download the file again.",
    Reason.NOT_AN_IMAGE: "Leave the file out with --exclude; name an archive or a table in a"
    " folder as a source of its own.",
    Reason.UNSUPPORTED_FORMAT: "Convert the file to PNG, JPEG or WebP.",
    Reason.UNREADABLE: "Replace the file with an intact copy.",
    Reason.TRUNCATED: "Copy or download the file again in full.",
    Reason.TOO_MANY_PIXELS: "Scale the image down, or raise --max-pixels.",
    Reason.TOO_MANY_BYTES: "Compress the image further, or raise --max-bytes.",
    Reason.NOT_FOUND: "Correct the path in the list, or restore the file.",
    Reason.NOT_PERMITTED: "Give the user who runs assay permission to read the file.",
    Reason.FETCH_FAILED: "Check the URL and its server, then run the same command again.",
    Reason.UNSAFE_PATH: "Check where the path leads; name the file as a source if it is meant"
    " to be read.",
    Reason.UNSAFE_URL: "Correct the URL, or allow private addresses with --allow-private-urls.",
    Reason.BAD_ROW: "Correct the row, so that it names exactly one image.",
    Reason.NON_FINITE_LOGIT: "Score the image in fp32, or with another detector.",
    Reason.OUT_OF_MEMORY: "Run the same command again with a smaller --n-workers.",
    Reason.NOT_MADE: "Correct what the detail names, then run the plan again.",
    Reason.FORGOTTEN: "Nothing needs to be done; assay forget removed the image, and it stays out.",
    Reason.BYTES_LOST: "Restore the file at its source, then run the same command again.",
}
_LATER: Final = "Update assay; a later version recorded this reason."


def remedy_of(reason: str) -> str:
    """Return the sentence that says what to do about a reason; any word from a table will do."""
    return next((text for known, text in REMEDIES.items() if known == reason), _LATER)


def most_first(counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts by reason, the most frequent first, equal counts by name."""
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
