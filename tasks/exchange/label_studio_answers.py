"""Answers of Label Studio's exports: JSON with annotations, JSON_MIN, and CSV or TSV.

Cancelled (skipped) annotations, drafts and predictions are no answers. An annotation that was
changed since it was imported is a new answer, since its time and content differ.

Sources: "Export annotations", https://labelstud.io/guide/export.html, and the converter that writes
JSON_MIN and CSV, `label_studio_sdk.converter` (Apache-2.0).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...data.errors import InputError
from ...data.text.wording import shown
from .answer_files import NO_LABEL
from .given import Given, Reading, time_of
from .label_studio_values import (
    LABEL_CONTROL,
    NOTE_CONTROL,
    REASON_CONTROL,
    Reader,
    image_of_task,
    reason_and_note,
    texts_of,
)
from .table_file import read_rows

JSON: Final = "Label Studio JSON"
JSON_MIN: Final = "Label Studio JSON_MIN"
CSV: Final = "Label Studio CSV"
CANCELLED: Final = "cancelled in Label Studio"
# Columns of every export in one row per annotation.
MINIFIED: Final = frozenset({"annotation_id", "annotator"})
_NOTE_CONTROLS: Final = (NOTE_CONTROL, "comment")
_LABEL_TYPES: Final = frozenset({"choices", "rating"})


def is_task(value: Mapping[str, Any]) -> bool:
    """Return whether a JSON object is a task of Label Studio."""
    return isinstance(value.get("data"), Mapping) or "completions" in value


def add_task(reading: Reading, place: str, task: Mapping[str, Any], reader: Reader) -> None:
    """Add the annotations of a task, or their defects, to what was read."""
    place = f"{place} (task {shown(task['id'])})" if "id" in task else place
    annotations = task.get("annotations", task.get("completions")) or []
    data = task.get("data")
    if not isinstance(annotations, list) or not isinstance(data, Mapping):
        reading.problems.append(f"{place}: data is not an object, or annotations are not a list")
        return
    if not annotations:
        reading.left_out["tasks without an annotation"] += 1
    # Fields beside `data` that the task was imported with.
    data = {**_object(task.get("meta")), **data}
    for number, annotation in enumerate(annotations, start=1):
        here = f"{place}, annotation {number}"
        if not isinstance(annotation, Mapping):
            # Snapshots may list the ids of annotations only.
            reading.problems.append(f"{here}: {shown(annotation)} is not an object")
        elif annotation.get("was_cancelled") or annotation.get("skipped"):
            reading.left_out[CANCELLED] += 1
        else:
            _add(reading, here, data, _controls(annotation.get("result")), annotation, reader)


def add_minified(reading: Reading, place: str, row: Mapping[str, Any], reader: Reader) -> None:
    """Add the annotation of a row of JSON_MIN or CSV, or its defect, to what was read."""
    # Columns of the data that have the name of a control are renamed by the converter.
    data = {name.removeprefix("_data_"): value for name, value in row.items()}
    name = reader.control or LABEL_CONTROL
    if name not in row:
        names = ", ".join(sorted(set(row) - MINIFIED))
        reading.problems.append(
            f"{place}: there is no {shown(name)} among {names}; name the control with --control"
        )
        return
    controls = {name: list(texts_of(row[name]))}
    for control in (REASON_CONTROL, *_NOTE_CONTROLS):
        controls.setdefault(control, list(texts_of(row.get(control))))
    annotation = {**row, "completed_by": row.get("annotator")}
    _add(reading, place, data, controls, annotation, reader)


def read_minified_table(file: Path, reader: Reader) -> Reading:
    """Return the answers of an export as CSV or TSV.

    Args:
        file: File to read.
        reader: Names of the project.

    Raises:
        InputError: The file is damaged.
    """
    reading = Reading(format=CSV)
    for row in read_rows(file):
        place = f"line {row.line:,}"
        if row.problem is not None:
            reading.problems.append(f"{place}: {row.problem}")
        else:
            add_minified(reading, place, row.cells, reader)
    return reading


def _add(
    reading: Reading,
    place: str,
    data: Mapping[str, Any],
    controls: Mapping[str, Sequence[str]],
    annotation: Mapping[str, Any],
    reader: Reader,
) -> None:
    try:
        chosen = _chosen(controls, reader)
        if not chosen:
            reading.left_out[NO_LABEL] += 1
            return
        image_id, source_uri = image_of_task(data, reader.root)
        notes = [text for name in _NOTE_CONTROLS for text in controls.get(name, ())]
        reason, note = reason_and_note(controls.get(REASON_CONTROL, ()), notes)
        given = Given(
            place=place,
            image_id=image_id,
            source_uri=source_uri,
            label=reader.label(chosen),
            reviewer=reader.annotator(annotation.get("completed_by")),
            reason=reason,
            note=note,
            seconds=_seconds(annotation.get("lead_time")),
            reviewed_at=time_of(annotation.get("updated_at") or annotation.get("created_at")),
        )
    except InputError as error:
        reading.problems.append(f"{place}: {error}")
    else:
        reading.answers.append(given)


def _controls(result: Any) -> dict[str, list[str]]:
    """Return the texts of each control of an annotation, without regions of the image."""
    found: dict[str, list[str]] = {}
    for part in result if isinstance(result, list) else ():
        if isinstance(part, Mapping) and isinstance(part.get("value"), Mapping):
            name = str(part.get("from_name"))
            found.setdefault(name, []).extend(texts_of(part["value"]))
    return found


def _chosen(controls: Mapping[str, Sequence[str]], reader: Reader) -> Sequence[str]:
    """Return the texts of the control with the label; empty if it was left empty.

    Raises:
        InputError: No control or several have labels.
    """
    if reader.control is not None or LABEL_CONTROL in controls:
        return controls.get(reader.control or LABEL_CONTROL, ())
    others = {REASON_CONTROL, *_NOTE_CONTROLS}
    named = {name: texts for name, texts in controls.items() if name not in others and texts}
    fitting = [name for name, texts in named.items() if _spells_label(texts, reader)]
    if len(fitting) == 1:
        return named[fitting[0]]
    if not named:
        return ()
    which = "several controls have" if fitting else "no control has"
    raise InputError(
        f"{which} a label among {', '.join(sorted(named))}; name it with --control, and its"
        " values with --map VALUE=LABEL"
    )


def _spells_label(texts: Sequence[str], reader: Reader) -> bool:
    try:
        reader.label(texts)
    except InputError:
        return False
    return True


def _seconds(value: Any) -> float | None:
    """Return the time taken; None for a value that is none, since it is no part of the answer."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < 1e9 else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def left_out_text(left_out: Counter[str]) -> str:
    """Return what was left out, with counts, as one text."""
    return ", ".join(f"{n:,} {what}" for what, n in sorted(left_out.items()) if n)
