"""One image of the queue, as a reviewer is given it."""

from __future__ import annotations

from dataclasses import dataclass

from .pools import Place
from .wording import why


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueItem:
    """An image to review.

    Attributes:
        image_id: Id of the image.
        kind: Occasion, a word of `ReviewKind`; never shown to the reviewer.
        why: Reason for its place in the queue, a sentence.
        prob_fake: Score of the detector, in [0, 1]; None without a score.
        decision: Decision of the policy; None if nothing was decided.
        reasons: Reasons of the decision.
        domain: Domain of the image; None without one.
        source_uri: Address of its latest sighting, without secrets.
        run_id: Id of the run that decided; None if nothing was decided.
    """

    image_id: str
    kind: str
    why: str
    prob_fake: float | None
    decision: str | None
    reasons: tuple[str, ...]
    domain: str | None
    source_uri: str | None
    run_id: str | None


def item_of(place: Place) -> QueueItem:
    """Return the image of a pool with the reason for its place."""
    facts = place.facts
    return QueueItem(
        image_id=place.image_id,
        kind=place.kind,
        why=why(facts),
        reasons=tuple(facts["reasons"] or ()),
        **{
            name: facts[name]
            for name in ("prob_fake", "decision", "domain", "source_uri", "run_id")
        },
    )
