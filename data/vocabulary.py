"""Closed vocabularies of the columns of the tables, defined here and nowhere else.

A word is added, never removed or renamed: lakes keep it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Status(StrEnum):
    """Outcome of one input item."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Explained(StrEnum):
    """Base of closed vocabularies in which every word has a text for display.

    A member is written `NAME = "word", "text for display"`; a member without a text is an error.
    """

    text: str

    def __new__(cls, word: str, text: str) -> Self:
        """Create a member with the word as its value."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.text = text
        return member

    @classmethod
    def text_of(cls, word: str) -> str:
        """Return the text of a word from a table; the word itself if a newer assay wrote it."""
        return next((member.text for member in cls if member == word), word)


class Reason(Explained):
    """Reason for which an item was rejected, is a duplicate, or could not be scored."""

    SAME_BYTES = "same_bytes", "same bytes as another item"
    EMPTY = "empty", "empty file"
    NOT_AN_IMAGE = "not_an_image", "not an image"
    UNSUPPORTED_FORMAT = "unsupported_format", "unsupported image format"
    UNREADABLE = "unreadable", "damaged file"
    TRUNCATED = "truncated", "incomplete file"
    TOO_MANY_PIXELS = "too_many_pixels", "more pixels than allowed"
    TOO_MANY_BYTES = "too_many_bytes", "more bytes than allowed"
    NOT_FOUND = "not_found", "file not found"
    NOT_PERMITTED = "not_permitted", "no permission to read the file"
    FETCH_FAILED = "fetch_failed", "download failed"
    UNSAFE_PATH = "unsafe_path", "path outside its archive"
    UNSAFE_URL = "unsafe_url", "URL not allowed"
    BAD_ROW = "bad_row", "row without an image"
    NON_FINITE_LOGIT = "non_finite_logit", "the detector returned no finite logit"
    OUT_OF_MEMORY = "out_of_memory", "out of memory"
    NOT_MADE = "not_made", "image could not be generated"
    BYTES_LOST = "bytes_lost", "stored bytes lost with a damaged file"
    FORGOTTEN = "forgotten", "forgotten on request, and refused since"


class ScoreStatus(StrEnum):
    """Outcome of scoring one image: a logit, or none."""

    SCORED = "scored"
    FAILED = "failed"


class Decision(StrEnum):
    """Decision of the policy on an image."""

    CLEAR = "clear"
    REVIEW = "review"
    FLAG = "flag"


class DecisionReason(Explained):
    """Reason for a decision; a decision may have several. Reports list them in this order."""

    AT_OR_ABOVE_FLAG = "at_or_above_flag_threshold", "score at or above the flag threshold"
    IN_REVIEW_BAND = "in_review_band", "score in the review band"
    BELOW_REVIEW = "below_review_threshold", "score below the review threshold"
    VIEW_ABOVE_FLAG = (
        "view_at_or_above_flag_threshold",
        "score of a tile at or above the flag threshold",
    )
    LOW_RESOLUTION = "low_resolution", "resolution too low for a reliable score"
    ENLARGED = "enlarged", "its pixels show that it was enlarged"
    HEAVY_COMPRESSION = "heavy_compression", "compressed too heavily for a reliable score"
    GRAPHIC = "graphic_not_photo", "flat areas and few colours: a graphic, not a photo"
    OUT_OF_DOMAIN = "out_of_domain", "unlike the labelled images that the guarantee rests on"
    DECLARED_AI = "declared_ai", "declared AI-generated in its metadata"
    NOT_AS_SEEN = "not_as_seen", "viewers may show a different image from the one scored"
    KNOWN_HASH = "known_hash", "matches an image on a list of known hashes"
    GROUP_OF_REVIEWED = "group_of_reviewed", "decided as a copy of it that a person reviewed"
    DECIDED_BY_GROUP = "decided_by_group", "decided as its best preserved copy"
    UNSTABLE = (
        "unstable_under_delivery",
        "score falls below the flag threshold when the image is saved again",
    )
    UNCALIBRATED = (
        "uncalibrated",
        "too few labelled real images for a flag with the requested guarantee",
    )
    NOT_SCORED = "not_scored", "not scored"
    NO_DOMAIN_THRESHOLD = "no_threshold_for_domain", "no threshold for its domain"


class Doubt(Explained):
    """Reason why viewers may show a different image from the one scored."""

    TRANSPARENT = (
        "transparent",
        "appearance depends on the background, or almost all pixels are transparent",
    )
    NOT_A_FRAME = "not_a_frame", "animation whose still image is not one of its frames"
    BLANK_FRAME = "blank_frame", "animation with a blank first frame"
    BRIEF_FRAME = "brief_frame", "animation whose first frame is shown only briefly"
    COLOURS = "colours", "displayed colours far from the stored colours"


class Label(StrEnum):
    """Label of an image, from a reviewer or a source."""

    REAL = "real"
    FAKE = "fake"
    LAUNDERED = "laundered"
    UNSURE = "unsure"


class ReviewReason(Explained):
    """Reason that a reviewer gives for an answer."""

    VISIBLE_ARTEFACTS = "visible_artefacts", "visible artefacts of generation"
    TEXT_OR_SYMBOLS = "text_or_symbols", "garbled text or symbols"
    ANATOMY_OR_GEOMETRY = "anatomy_or_geometry", "impossible anatomy or geometry"
    LIGHT_OR_TEXTURE = "light_or_texture", "implausible light or texture"
    KNOWN_SOURCE = "known_source", "its source is known"
    PROVENANCE_DATA = "provenance_data", "provenance data in the file"
    LOOKS_CAMERA_MADE = "looks_camera_made", "looks made by a camera"
    HEAVILY_EDITED = "heavily_edited", "heavily edited"
    CANNOT_TELL = "cannot_tell", "impossible to judge from the image"
    OTHER = "other", "another reason"


class ReviewOrigin(StrEnum):
    """Interface that an answer came through."""

    PAGE = "page"
    NOTEBOOK = "notebook"
    COMMAND = "command"
    IMPORT = "import"


class ReviewKind(Explained):
    """Reason for which an image was put before a reviewer; the reviewer does not see it."""

    QUEUE = "queue", "taken from the queue"
    GRID = "grid", "selected by the reviewer"
    GOLDEN = "golden", "known label, to measure reviewers"
    AUDIT = "audit", "drawn at random for an audit"
    SECOND = "second", "second opinion"
    APPEAL = "appeal", "appeal against a decision"
    IMPORT = "import", "imported answer"


class AppealEvent(StrEnum):
    """Event in the life of an appeal."""

    OPENED = "opened"
    UPHELD = "upheld"
    OVERTURNED = "overturned"


class Shown(StrEnum):
    """What a reviewer saw beside the image."""

    SCORE = "score"
    MAP = "map"
    REASONS = "reasons"
    NEIGHBOURS = "neighbours"
