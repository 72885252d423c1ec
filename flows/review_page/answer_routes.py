"""The one place where answers of the page arrive, whichever view they come from.

A script sends an answer until it is acknowledged, so the same answer may arrive twice, late, or
from a page that is older than the lake. The acknowledgement is sent when the answer is on disk.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from ...data.errors import InputError
from ...data.vocabulary import ReviewKind, ReviewOrigin
from ...tasks.review.answer import Answer
from ...tasks.review.journal import Journal
from .desk import Desk, desk_of, reviewer_of
from .tickets import kind_of_ticket

MAX_ANSWERS: Final = 200

router = APIRouter()


class GivenAnswer(BaseModel):
    """An answer as a script sends it; `Answer` checks the values.

    Attributes:
        at_ms: Time of the answer by the server's clock, in ms since 1970. The script takes the
            clock from the page once: answers keep their order, however long each one travels.
        ticket: Text that came with an item of the queue; see `tickets`.
        view: View that the answer was given in.
    """

    model_config = ConfigDict(extra="forbid")

    answer_id: str
    image_id: str
    label: str
    at_ms: Annotated[float | None, Field(ge=0, le=4e12)] = None
    view: Literal["queue", "grid"] = "queue"
    ticket: str = ""
    reason: str | None = None
    note: str | None = None
    shown: list[str] = []
    seconds: float | None = None
    run_id: str | None = None
    withdraws: str | None = None


class GivenAnswers(BaseModel):
    """Answers of one reviewer, in the order in which they were given."""

    model_config = ConfigDict(extra="forbid")

    reviewer: str
    answers: Annotated[list[GivenAnswer], Field(max_length=MAX_ANSWERS)]


class RefusedAnswer(BaseModel):
    """An answer that cannot be recorded, and why."""

    answer_id: str
    problem: str


class TakenAnswers(BaseModel):
    """Ids of the answers that are on disk, and those that were refused."""

    recorded: list[str]
    refused: list[RefusedAnswer]


@router.post("/answers")
def take_answers(
    request: Request, given: GivenAnswers, reviewer: Annotated[str, Depends(reviewer_of)]
) -> TakenAnswers:
    """Record answers and acknowledge each; an answer that is refused holds up no other.

    Raises:
        StoreError: The journal cannot be written; the script sends the answers again.
    """
    if given.reviewer != reviewer:
        raise HTTPException(409, "this browser has another reviewer now; load the page again")
    desk = desk_of(request)
    now = datetime.now(UTC)
    taken = TakenAnswers(recorded=[], refused=[])
    answers: list[Answer] = []
    for one in given.answers:
        values = one.model_dump(exclude={"at_ms", "view", "ticket"})
        kind = _kind(desk, reviewer, one)
        try:
            answers.append(
                Answer(
                    **values,
                    reviewer=reviewer,
                    origin=ReviewOrigin.PAGE,
                    kind=kind,
                    reviewed_at=_time_of(one, now),
                )
            )
        except InputError as error:
            taken.refused.append(RefusedAnswer(answer_id=one.answer_id, problem=str(error)))
    _record(desk.journal, answers, taken)
    return taken


def _time_of(answer: GivenAnswer, now: datetime) -> datetime:
    """Return the time of an answer, which is not after its arrival."""
    if answer.at_ms is None:
        return now
    return min(now, datetime.fromtimestamp(answer.at_ms / 1000, UTC))


def _kind(desk: Desk, reviewer: str, answer: GivenAnswer) -> ReviewKind:
    if answer.view == "grid":
        return ReviewKind.GRID
    return kind_of_ticket(desk, reviewer, answer.image_id, answer.ticket)


def _record(journal: Journal, answers: list[Answer], taken: TakenAnswers) -> None:
    """Record answers at once, or one by one where one of them is refused."""
    try:
        journal.record(answers)
    except InputError as error:
        if len(answers) == 1:
            refused = RefusedAnswer(answer_id=answers[0].answer_id, problem=str(error))
            taken.refused.append(refused)
            return
        for answer in answers:
            _record(journal, [answer], taken)
        return
    taken.recorded += [answer.answer_id for answer in answers]
