"""`assay.review(...)`: review images in a notebook."""

from __future__ import annotations

import atexit
import getpass
from collections.abc import Sequence
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any

from ....data.errors import ConfigError, InputError
from ....data.store.lake import Lake
from ....data.text.wording import counted
from ....tasks.browse.images import Scope, scope_of
from ....tasks.review.answer import require_reviewer
from ....tasks.review.journal import Journal
from .feeds import Feed, ListFeed, QueueFeed
from .items import Item, ids_of_frame, ids_to_review, items_of
from .session import ReviewSession, own_answers

if TYPE_CHECKING:
    import polars as pl

    from ...results.moderation import Moderation
    from .widget import ReviewWidget

_BEFORE_OF_QUEUE = 50
"""Latest answers of the reviewer that the queue shows as already answered."""

_journals: dict[str, Journal] = {}


def review(
    what: Moderation | Lake | str | PathLike[str] | pl.DataFrame | Sequence[str] | None = None,
    *,
    where: str | None = None,
    lake: Lake | str | PathLike[str] | None = None,
    reviewer: str | None = None,
    second_opinion: bool = False,
) -> ReviewWidget:
    """Review images in a notebook: one at a time or in a grid, with keys.

    Each answer is on disk before the widget says so. Running the cell again, also after a restart
    of the kernel, continues with the images that have no answer of the reviewer.

        assay.review(result)                           # what the run flagged or left to people
        assay.review(result, where="prob_fake > 0.9")
        assay.review("lake")                           # the queue of the lake
        assay.review(result.scores().head(20), lake=result.lake)

    Args:
        what: Result of a run; a lake or its address, for its queue; or the images themselves, as
            a frame with a column image_id, a series or a list of ids. [default: the lake of the
            settings]
        where: Condition in SQL on the images of the run or the lake, such as `decision = 'flag'`.
        lake: Lake of images given by id [default: the lake of the settings].
        reviewer: Name under which answers are saved [default: the name of the user].
        second_opinion: Whether to show images too that another reviewer has answered.

    Raises:
        ConfigError: anywidget is not installed, or the condition is not allowed.
        InputError: There are no images to review, or the reviewer's name is not allowed.
        StoreError: The lake cannot be read.
    """
    if find_spec("anywidget") is None:
        raise ConfigError(
            "assay.review needs anywidget, which is not installed; pip install 'assay[notebook]',"
            " or run assay review serve"
        )
    reviewer = _user() if reviewer is None else reviewer
    require_reviewer(reviewer)
    opened, scope, ids = _images(what, where, lake)
    journal = _journal(opened)
    if ids is None:
        own = own_answers(opened, reviewer)["image_id"].tail(_BEFORE_OF_QUEUE).to_list()
        feed: Feed = QueueFeed(opened, journal, reviewer=reviewer, second_opinion=second_opinion)
        before = items_of(opened, own)
    else:
        before, ids = _answered_first(
            opened, ids, scope, reviewer=reviewer, second_opinion=second_opinion
        )
        feed = ListFeed(opened, journal, reviewer=reviewer, image_ids=ids, scope=scope)
    from .widget import ReviewWidget

    return ReviewWidget(ReviewSession(opened, journal, reviewer=reviewer, feed=feed, before=before))


def _images(
    what: Any, where: str | None, lake: Lake | str | PathLike[str] | None
) -> tuple[Lake, Scope | None, list[str] | None]:
    """Return the lake, the scope of what is shown, and the ids; None for the queue."""
    run_id = getattr(what, "run_id", None)
    if run_id is not None and lake is None:
        opened = _lake_of(what.lake)
        scope = scope_of(opened, str(run_id))
        return opened, scope, _some(ids_to_review(opened, scope, where), where)
    if what is None or isinstance(what, Lake | str | PathLike):
        if what is not None and lake is not None:
            raise ConfigError("two lakes are given; pass one of them")
        opened = _lake_of(lake if what is None else what)
        if where is None:
            return opened, None, None
        scope = scope_of(opened)
        return opened, scope, _some(ids_to_review(opened, scope, where), where)
    if where is not None:
        raise ConfigError("where selects among the images of a run or a lake; filter the frame")
    ids = ids_of_frame(what)
    opened = _lake_of(lake)
    known = opened.has_rows_of("images", ids)
    if unknown := [image_id for image_id in ids if image_id not in known]:
        raise InputError(
            f"{opened.uri} has no image {unknown[0]} ({len(unknown):,} of"
            f" {counted(len(ids), 'image is', 'images are')}"
            " unknown); pass lake= with the lake that they are in"
        )
    return opened, None, ids


def _some(ids: list[str], where: str | None) -> list[str]:
    if not ids:
        what = "is flagged or left to people" if where is None else f"meets where = {where!r}"
        raise InputError(f"there are no images to review: no image {what}; pass another where")
    return ids


def _answered_first(
    lake: Lake, ids: list[str], scope: Scope | None, *, reviewer: str, second_opinion: bool
) -> tuple[list[Item], list[str]]:
    """Return the items that the reviewer has answered, and the ids that are left to answer."""
    from ....tasks.review.answers import standing_answers

    said = standing_answers(lake, ids).select("image_id", "reviewer").collect()
    own = set(said.filter(reviewer=reviewer)["image_id"])
    others = set() if second_opinion else set(said["image_id"]) - own
    answered = own_answers(lake, reviewer, ids)["image_id"].to_list()
    left = [image_id for image_id in ids if image_id not in own | others]
    return items_of(lake, answered, scope), left


def _lake_of(given: Lake | str | PathLike[str] | None) -> Lake:
    if isinstance(given, Lake):
        return given
    from ...settings.resolve import default_lake, request_of

    if given is None:
        return Lake(default_lake(), create=False)
    return Lake(request_of(lake=given).lake, create=False)


def _journal(lake: Lake) -> Journal:
    """Return the journal of a lake, which stays open as long as the process."""
    if lake.uri not in _journals:
        _journals[lake.uri] = Journal(lake)
        atexit.register(_journals[lake.uri].close)
    return _journals[lake.uri]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise InputError(
            "the name of the user is unknown; pass reviewer= with the name to save answers under"
        ) from error
