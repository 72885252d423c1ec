"""`assay review add`: answers from the command line."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from cyclopts import Parameter

from ....data.errors import ConfigError, InputError
from ....data.text.wording import counted
from ..options import AsJson, LakeUri, open_lake, print_result
from .reviewer import Reviewer, reviewer_of


def add(
    *pairs: Annotated[str, Parameter(name="IMAGE LABEL", help="Images, each with its label.")],
    lake: LakeUri = None,
    reviewer: Reviewer = None,
    reason: str | None = None,
    note: str | None = None,
    json_: AsJson = False,
) -> None:
    """Record answers: real, fake, laundered or unsure; all of them or none.

    A further answer about an image replaces the reviewer's earlier one.

    Args:
        pairs: Images, each with its label. An image is its file, the first 6 or more characters of
            its id, a URI, or the end of a path.
        lake: Folder of the lake, or its s3:// prefix.
        reviewer: Name of the reviewer.
        reason: Reason of the answers, such as anatomy_or_geometry or known_source.
        note: Note on the answers.
        json_: One JSON object on stdout.

    Raises:
        ConfigError: The words are no pairs.
        InputError: An image is unknown, or has two labels.
    """
    from ....data.vocabulary import Label, ReviewKind, ReviewOrigin, Shown
    from ....tasks.browse.find_image import find_image
    from ....tasks.review.answer import Answer
    from ....tasks.review.journal import Journal

    if not pairs or len(pairs) % 2:
        raise ConfigError(
            f"{counted(len(pairs), 'word is', 'words are')} given; allowed: IMAGE LABEL, or several"
            f" such pairs, with the labels {', '.join(Label)}"
        )
    name = reviewer_of(reviewer)
    opened = open_lake(lake)
    labels: dict[str, str] = {}
    for image, label in zip(pairs[::2], pairs[1::2], strict=True):
        image_id = find_image(opened, image)
        if labels.setdefault(image_id, label) != label:
            raise InputError(
                f"image {image_id[:16]} is given as {labels[image_id]} and as {label}; nothing was"
                " recorded; give one label"
            )
    with Journal(opened) as journal:
        kinds = journal.leases.kinds(name)
        answers = [
            Answer(
                image_id=image_id,
                label=label,
                reviewer=name,
                reason=reason,
                note=note,
                # `assay review next` has shown these with the images that it leased.
                shown=[Shown.SCORE, Shown.REASONS] if image_id in kinds else [],
                origin=ReviewOrigin.COMMAND,
                kind=kinds.get(image_id, ReviewKind.GRID.value),
            )
            for image_id, label in labels.items()
        ]
        journal.record(answers)
    counts = Counter(answer.label for answer in answers)
    said = ", ".join(f"{n:,} {label}" for label, n in sorted(counts.items()))
    print_result(
        lambda: f"recorded    {len(answers):,} of {name}: {said}",
        paths=(),
        values={
            "lake": opened.uri,
            "reviewer": name,
            "answers": [
                {"answer_id": one.answer_id, "image_id": one.image_id, "label": one.label}
                for one in answers
            ],
        },
        as_json=json_,
    )
