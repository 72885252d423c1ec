"""Appeals: a contested image is shown to another reviewer, whose label upholds or overturns.

An appeal is decided by the first answer of kind `appeal` that is later than the appeal, has a label
other than `unsure`, stands, and is by a person who neither opened the appeal nor answered the image
before. It is upheld if the answer is on the side of the contested label (AI-generated, or real and
laundered), and overturned otherwise. If that answer is taken back, the appeal is open again.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Final

import polars as pl

from ...data.errors import InputError
from ...data.schema import TABLES, Row
from ...data.store.lake import Lake
from ...data.text.unicode import valid_text
from ...data.text.wording import shown
from ...data.vocabulary import AppealEvent, Decision, Label, ReviewKind
from ..labels import best_labels
from ..latest_rows import Named, last_judgement, latest_decisions
from .answer import Answer, require_reviewer
from .answers import all_answers
from .golden import GOLDEN_LABELS, require_known
from .journal import Journal

MAX_TEXT_CHARS: Final = 5_000
OPEN: Final = "open"


def open_appeal(
    lake: Lake, image_id: str, *, text: str, by: str, contested: str | None = None
) -> str:
    """Open an appeal against the label or the decision of an image, and return its id.

    Args:
        lake: Lake of the image.
        image_id: Id of the image.
        text: Text of the appellant, 1 to 5,000 characters.
        by: Name of the appellant.
        contested: Contested label; None for the label that people gave, or else for that of the
            last decision: fake for flag and review, real for clear.

    Raises:
        InputError: The image is unknown, has an open appeal or nothing that could be contested, or
            a value is not allowed; nothing is changed.
        StoreError: The lake cannot be read or written.
    """
    text = _checked_text(text)
    require_reviewer(by)
    require_known(lake, [image_id])
    if contested is not None and contested not in GOLDEN_LABELS:
        allowed = ", ".join(GOLDEN_LABELS)
        raise InputError(f"label {shown(contested)} is unknown; allowed: {allowed}")
    there = appeals(lake).filter((pl.col("image_id") == image_id) & (pl.col("state") == OPEN))
    if len(there):
        raise InputError(
            f"image {image_id[:16]} has an open appeal already, {there['appeal_id'][0]}"
        )
    appeal_id = uuid.uuid4().hex
    lake.append(
        "appeals",
        [
            {
                "appeal_id": appeal_id,
                "image_id": image_id,
                "event": AppealEvent.OPENED.value,
                "label": contested or _contested(lake, image_id),
                "text": text,
                "by": by,
                "answer_id": None,
                "at": datetime.now(UTC),
            }
        ],
        txn=f"appeal:{appeal_id}",
    )
    return appeal_id


def appeals(lake: Lake) -> pl.DataFrame:
    """Return all appeals with their state, the oldest first, also those not settled yet.

    Returns:
        Columns appeal_id, image_id, contested, text, opened_by, opened_at, state (open, upheld,
        overturned), label, decided_by, decided_at, answer_id; the last four are null if open.

    Raises:
        StoreError: The lake or its journal cannot be read.
    """
    recorded = _recorded(lake)
    decided = pl.DataFrame(
        [
            {
                "appeal_id": row["appeal_id"],
                "state": row["event"],
                "label": row["label"],
                "decided_by": row["by"],
                "decided_at": row["at"],
                "answer_id": row["answer_id"],
            }
            for row in _outcomes(lake, recorded.filter(pl.col("state") == OPEN))
        ],
        schema={
            name: recorded.schema[name]
            for name in ("appeal_id", "state", "label", "decided_by", "decided_at", "answer_id")
        },
    )
    return recorded.update(decided, on="appeal_id", how="left")


def open_appeals(lake: Lake) -> pl.DataFrame:
    """Return the appeals that wait for a reviewer, the oldest first, after settling the others.

    Returns:
        Columns appeal_id, image_id, opened_at, and `barred`: names of those who may not decide.

    Raises:
        StoreError: The lake or its journal cannot be read or written.
    """
    settle_appeals(lake)
    waiting = appeals(lake).filter(pl.col("state") == OPEN)
    if waiting.is_empty():
        return waiting.select("appeal_id", "image_id", "opened_at").with_columns(
            barred=pl.Series([], dtype=pl.List(pl.String))
        )
    answers = _answers_about(lake, waiting)
    barred = [
        _barred(about := answers.filter(pl.col("image_id") == appeal["image_id"]), appeal)
        | set(about.filter(pl.col("label") == Label.UNSURE.value)["reviewer"])
        for appeal in waiting.iter_rows(named=True)
    ]
    return waiting.select("appeal_id", "image_id", "opened_at").with_columns(
        barred=pl.Series([sorted(names) for names in barred], dtype=pl.List(pl.String))
    )


def decide_appeal(
    lake: Lake, appeal_id: str, *, label: str, by: str, text: str | None = None
) -> str:
    """Decide an open appeal by an answer of a reviewer, and return the state of the appeal.

    Args:
        lake: Lake of the image.
        appeal_id: Id of the appeal, or 6 or more of its first digits.
        label: Label that the reviewer finds: real, fake or laundered.
        by: Name of the reviewer, who has not answered the image before.
        text: Note of the reviewer.

    Raises:
        InputError: There is no such open appeal, the reviewer may not decide it, or a value is not
            allowed; nothing is recorded.
        StoreError: The lake or its journal cannot be read or written.
    """
    if label not in GOLDEN_LABELS:
        raise InputError(
            f"label {shown(label)} decides no appeal; allowed: {', '.join(GOLDEN_LABELS)}"
        )
    waiting = open_appeals(lake)
    found = waiting.filter(pl.col("appeal_id").str.starts_with(appeal_id.strip().lower()))
    if len(appeal_id.strip()) < 6 or len(found) != 1:
        raise InputError(
            f"no single open appeal begins with {shown(appeal_id)} ({len(found)} do);"
            " `assay review appeal list` lists them"
        )
    row = found.row(0, named=True)
    if by in row["barred"]:
        raise InputError(
            f"{by} has opened this appeal or answered the image before; another reviewer decides"
        )
    answer = Answer(
        image_id=row["image_id"],
        label=label,
        reviewer=by,
        note=text,
        origin="command",
        kind=ReviewKind.APPEAL,
    )
    with Journal(lake) as journal:
        journal.record([answer])
    settle_appeals(lake)
    states = appeals(lake).filter(pl.col("appeal_id") == row["appeal_id"])
    return str(states["state"][0])


def settle_appeals(lake: Lake) -> int:
    """Record the outcome of open appeals that an answer has decided; return their number.

    Recording an outcome twice records it once.

    Raises:
        StoreError: The lake or its journal cannot be read or written.
    """
    rows = _outcomes(lake, _recorded(lake).filter(pl.col("state") == OPEN))
    return sum(
        lake.append("appeals", [row], txn=f"appeal:{row['appeal_id']}:{row['answer_id']}")
        for row in rows
    )


def _outcomes(lake: Lake, waiting: pl.DataFrame) -> list[Row]:
    """Return rows of `appeals` that decide open appeals by the answers there are."""
    if waiting.is_empty():
        return []
    answers = _answers_about(lake, waiting)
    rows = []
    for appeal in waiting.iter_rows(named=True):
        about = answers.filter(pl.col("image_id") == appeal["image_id"])
        deciding = about.filter(
            (pl.col("reviewed_at") >= appeal["opened_at"])
            & (pl.col("kind") == ReviewKind.APPEAL.value)
            & pl.col("label").is_in(GOLDEN_LABELS)
            & ~pl.col("reviewer").is_in(list(_barred(about, appeal)))
        )
        if deciding.is_empty():
            continue
        answer = deciding.row(0, named=True)
        is_same = is_ai_generated(answer["label"]) == is_ai_generated(appeal["contested"])
        event = AppealEvent.UPHELD if is_same else AppealEvent.OVERTURNED
        rows.append(
            {
                "appeal_id": appeal["appeal_id"],
                "image_id": appeal["image_id"],
                "event": event.value,
                "label": answer["label"],
                "text": answer["note"],
                "by": answer["reviewer"],
                "answer_id": answer["answer_id"],
                "at": answer["reviewed_at"],
            }
        )
    return rows


def _recorded(lake: Lake) -> pl.DataFrame:
    """Return all appeals with their state as recorded, the oldest first."""
    events = lake.scan("appeals").select(TABLES["appeals"].names).collect()
    image_ids = events["image_id"].unique().to_list()
    taken_back = pl.Series("withdraws", [], dtype=pl.String)
    if image_ids:
        taken_back = all_answers(lake, image_ids).select("withdraws").collect()["withdraws"]
    is_opening = pl.col("event") == AppealEvent.OPENED.value
    opened = events.filter(is_opening).select(
        "appeal_id", "image_id", "text", contested="label", opened_by="by", opened_at="at"
    )
    decided = (
        events.filter(~is_opening & ~pl.col("answer_id").is_in(taken_back.drop_nulls().to_list()))
        .sort("at", maintain_order=True)
        .unique("appeal_id", keep="last", maintain_order=True)
        .select("appeal_id", "label", "answer_id", state="event", decided_by="by", decided_at="at")
    )
    return (
        opened.unique("appeal_id", keep="first")
        .join(decided, on="appeal_id", how="left")
        .with_columns(pl.col("state").fill_null(OPEN))
        .select(
            "appeal_id",
            "image_id",
            "contested",
            "text",
            "opened_by",
            "opened_at",
            "state",
            "label",
            "decided_by",
            "decided_at",
            "answer_id",
        )
        .sort("opened_at", "appeal_id")
    )


def _answers_about(lake: Lake, waiting: pl.DataFrame) -> pl.DataFrame:
    """Return the answers about the images of appeals that were not taken back, oldest first."""
    rows = all_answers(lake, waiting["image_id"].unique().to_list()).collect()
    taken_back = rows["withdraws"].drop_nulls().to_list()
    return rows.filter(
        pl.col("withdraws").is_null()
        & ~pl.col("answer_id").is_in(taken_back).fill_null(value=False)
    ).sort("reviewed_at", maintain_order=True)


def _barred(about: pl.DataFrame, appeal: Row) -> set[str]:
    """Return who may not decide: the appellant, and who answered the image otherwise."""
    is_before = pl.col("reviewed_at") < appeal["opened_at"]
    is_other = pl.col("kind").ne_missing(ReviewKind.APPEAL.value)
    return {appeal["opened_by"], *about.filter(is_before | is_other)["reviewer"]}


def is_ai_generated(label: str) -> bool:
    """Return whether a label says AI-generated; a laundered photo was altered, not generated."""
    return label == Label.FAKE.value


def _contested(lake: Lake, image_id: str) -> str:
    """Return the label that an image stands under: of people, or of the last decision."""
    part = Named(ids=(image_id,))
    said = best_labels(
        all_answers(lake, [image_id]),
        part.rows(lake, "synthetics"),
        part.rows(lake, "sightings").filter(pl.lit(value=False)),
    ).collect()
    if len(labels := said["label"].drop_nulls()):
        return str(labels[0])
    judged = last_judgement(lake)
    if judged is not None:
        decided = latest_decisions(
            lake, judged.key, policy_id=judged.policy_id, part=part
        ).collect()["decision"]
        if len(decided):
            is_clear = decided[0] == Decision.CLEAR.value
            return Label.REAL.value if is_clear else Label.FAKE.value
    raise InputError(
        f"image {image_id[:16]} has neither a label of people nor a decision; name the contested"
        " label with --label"
    )


def _checked_text(text: str) -> str:
    text = valid_text(text).strip()
    if not 1 <= len(text) <= MAX_TEXT_CHARS:
        raise InputError(
            f"the text of the appeal has {len(text):,} characters; allowed: 1 to {MAX_TEXT_CHARS:,}"
        )
    return text
