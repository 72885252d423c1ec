"""`assay review export`: answers for other programs, or tasks for Label Studio."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ....data.text.wording import counted
from ..image_filters import ImageFilters
from ..options import AsJson, DryRun, Flag, LakeUri, open_lake, print_effects, print_result

if TYPE_CHECKING:
    from ....tasks.exchange.chosen import Chosen


def export(
    *,
    to: Path,
    lake: LakeUri = None,
    as_: Annotated[Literal["answers", "label-studio"], Parameter("--as")] = "answers",
    choose: ImageFilters | None = None,
    reviewer: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    unanswered: Annotated[bool, Flag] = False,
    image_as: Literal["data", "files", "uri"] = "data",
    blind: Annotated[bool, Flag] = False,
    overwrite: Annotated[bool, Flag] = False,
    json_: AsJson = False,
    dry_run: DryRun = False,
) -> None:
    """Write answers as CSV, JSON lines or Parquet, or images as tasks for Label Studio.

    Of each reviewer and image, the answer that counts is written. In CSV, a text that a
    spreadsheet would run as a formula gets a leading apostrophe; `assay review import` reads it.
    Tasks have the decision as a pre-annotation: flag as fake, clear as real.

    Args:
        to: File to write: .csv, .jsonl or .parquet for answers, .json for Label Studio.
        lake: Folder of the lake, or its s3:// prefix.
        as_: Answers, or tasks for Label Studio.
        choose: Selection of images.
        reviewer: Reviewer of the answers. May be repeated.
        unanswered: Images without an answer only, as tasks for Label Studio.
        image_as: Image of a task: data contains it, files are copies in a folder beside the file,
            uri is the address that it came from.
        blind: Tasks without score, decision and pre-annotation.
        overwrite: Replacement of an existing file.
        json_: One JSON object on stdout.
        dry_run: Number of answers or images that would be written; nothing is changed.
    """
    from ....data.user_paths import from_home
    from ....tasks.browse.row_file import require_row_file
    from ....tasks.exchange import chosen

    to = from_home(to)
    require_suffix(to, as_)
    require_row_file(to, overwrite=overwrite)
    opened = open_lake(lake)
    choose = choose or ImageFilters()
    images = chosen.Chosen(
        lake=opened,
        filters=choose.filters(),
        run_id=choose.run,
        reviewers=reviewer,
        is_unanswered=unanswered,
    )
    if dry_run:
        from ...dry_run.review import export_effects

        print_effects(export_effects(images, to, is_tasks=as_ != "answers"), as_json=json_)
    elif as_ == "answers":
        _export_answers(images, to, as_json=json_)
    else:
        _export_tasks(images, to, image_as, is_blind=blind, as_json=json_)


def require_suffix(to: Path, what: str) -> None:
    """Refuse a file whose suffix is not of its format.

    Raises:
        ConfigError: The suffix is not allowed.
    """
    from ....data.errors import ConfigError
    from ....tasks.browse.row_file import format_of

    if what == "answers":
        format_of(to)
    elif to.suffix.lower() != ".json":
        raise ConfigError(
            f"{to} ends in {to.suffix or 'nothing'}; tasks for Label Studio are a .json file"
        )


def _export_answers(images: Chosen, to: Path, *, as_json: bool) -> None:
    from ....tasks.browse.row_file import format_of
    from ....tasks.exchange.answer_files import write_answers

    n_answers = write_answers(images.answers(), to, kind=format_of(to))
    file = str(to.absolute())
    print_result(
        lambda: f"written     {file}: {counted(n_answers, 'answer')}",
        paths=[file],
        values={"lake": images.lake.uri, "file": file, "answers": n_answers},
        as_json=as_json,
    )


def _export_tasks(
    images: Chosen,
    to: Path,
    image_as: Literal["data", "files", "uri"],
    *,
    is_blind: bool,
    as_json: bool,
) -> None:
    from ....data.commands import command
    from ....tasks.exchange.label_studio_tasks import write_tasks

    made = write_tasks(
        images.lake, images.parts(), to, image_as=image_as, has_predictions=not is_blind
    )
    lines = [
        f"written     {made.file}: {counted(made.tasks, 'task')}, {made.predictions:,} with a score"
    ]
    if made.folder is not None:
        lines.append(f"images      {made.folder}")
    lines += ["next", f"  {command('review', 'label-studio')}    # the labelling interface"]
    print_result(
        lambda: "\n".join(lines),
        paths=[made.file, *([made.folder] if made.folder else [])],
        values={"lake": images.lake.uri, **made.to_json()},
        as_json=as_json,
    )
