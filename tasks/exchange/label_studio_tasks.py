"""Tasks for Label Studio: images with score and decision, and the decision as a pre-annotation.

Sources: "Import pre-annotated data", https://labelstud.io/guide/predictions, and "Get data into
Label Studio", https://labelstud.io/guide/tasks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import polars as pl

from ...data.errors import InputError
from ...data.store.lake import Lake
from ...data.store.local_files import LocalStore
from ...data.text.wording import shown
from ...data.vocabulary import Decision, Label
from .label_studio_values import IMAGE_KEY, LABEL_CONTROL, LOCAL_FILES

ImageAs = Literal["data", "files", "uri"]

# Media type and suffix of the formats that a lake has; browsers show all of them.
_KINDS: Final = {
    "JPEG": ("image/jpeg", "jpg"),
    "MPO": ("image/jpeg", "jpg"),
    "PNG": ("image/png", "png"),
    "WEBP": ("image/webp", "webp"),
    "GIF": ("image/gif", "gif"),
    "BMP": ("image/bmp", "bmp"),
    "AVIF": ("image/avif", "avif"),
}
_OTHER: Final = ("application/octet-stream", "bin")
_REMOTE: Final = re.compile(r"(?:https?|s3|gs|azure-blob)://", re.IGNORECASE)
# A review has no choice: what a reviewer would be shown first must not be a coin's side.
_CHOICE: Final = {Decision.FLAG.value: Label.FAKE.value, Decision.CLEAR.value: Label.REAL.value}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFile:
    """Written file of tasks.

    Attributes:
        file: File of the tasks.
        folder: Folder of the images; None if the tasks contain or address them.
        tasks: Number of tasks.
        predictions: Number of tasks with a pre-annotation.
    """

    file: Path
    folder: Path | None
    tasks: int
    predictions: int

    def to_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        folder = None if self.folder is None else str(self.folder)
        return asdict(self) | {"file": str(self.file), "folder": folder}


def write_tasks(
    lake: Lake,
    images: Iterable[pl.DataFrame],
    file: Path,
    *,
    image_as: ImageAs,
    has_predictions: bool = True,
) -> TaskFile:
    """Write images as a JSON list of tasks; the file appears when it is complete.

    Args:
        lake: Lake of the images.
        images: Images with the columns of `browse.images.COLUMNS`, one part in memory at a time.
        file: File to write; an existing file is replaced.
        image_as: Image of a task: `data`, the bytes in a data URI; `files`, copies in a folder
            beside the file, addressed as Label Studio serves local files; or `uri`, the address
            of its source.
        has_predictions: Whether scores and decisions are pre-annotations; if not, reviewers see
            no score, and tasks contain none.

    Raises:
        InputError: The file cannot be written, or an image has no address for `uri`.
        StoreError: The bytes of an image cannot be read.
    """
    file = file.absolute()
    folder = file.with_name(f"{file.stem}-images") if image_as == "files" else None
    counts = {"tasks": 0, "predictions": 0}
    try:
        with ExitStack() as open_files:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            out = open_files.enter_context(LocalStore(file.parent).creating(file.name))
            out.write(b"[")
            for row, address in _addressed(lake, images, image_as, folder):
                task = task_of(row, address, has_predictions=has_predictions)
                text = json.dumps(task, ensure_ascii=False)
                out.write((b",\n" if counts["tasks"] else b"\n") + text.encode("utf-8", "replace"))
                counts["tasks"] += 1
                counts["predictions"] += "predictions" in task
            out.write(b"\n]\n")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror or error}") from error
    return TaskFile(file=file, folder=folder, **counts)


def task_of(row: Mapping[str, Any], address: str, *, has_predictions: bool) -> dict[str, Any]:
    """Return the task of one image.

    The score of the pre-annotation is the probability that the image is AI-generated, so that
    Label Studio can order tasks by it. Images to review have a score and no chosen label.

    Args:
        row: Image with the columns of `browse.images.COLUMNS`.
        address: Image for `data.image`.
        has_predictions: Whether the task has score, decision and pre-annotation.
    """
    data = {
        IMAGE_KEY: address,
        "image_id": row["image_id"],
        "source_uri": row["source_uri"],
        "domain": row["domain"],
    }
    task: dict[str, Any] = {"data": data, "meta": {"image_id": row["image_id"]}}
    if not has_predictions or row["prob_fake"] is None:
        return task
    score = round(float(row["prob_fake"]), 6)
    data |= {"prob_fake": score, "decision": row["decision"], "reasons": row["reasons"] or []}
    task["meta"] |= {name: row[name] for name in ("detector", "precision", "policy_id")}
    choice = _CHOICE.get(row["decision"])
    result = []
    if choice is not None:
        result.append(
            {
                "id": f"assay-{row['image_id'][:24]}",
                "type": "choices",
                "from_name": LABEL_CONTROL,
                "to_name": "image",
                "value": {"choices": [choice]},
            }
        )
    version = " ".join(filter(None, (row["detector"], row["precision"], row["policy_id"])))
    task["predictions"] = [{"model_version": version, "score": score, "result": result}]
    return task


def _addressed(
    lake: Lake, images: Iterable[pl.DataFrame], image_as: ImageAs, folder: Path | None
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield images with the address of each."""
    for part in images:
        rows = {row["image_id"]: row for row in part.iter_rows(named=True)}
        if image_as == "uri":
            for row in rows.values():
                yield row, _remote(row)
            continue
        for image_id, raw in lake.images(list(rows)) if rows else ():
            row = rows[image_id]
            media_type, suffix = _KINDS.get(row["format"], _OTHER)
            if folder is None:
                encoded = base64.b64encode(raw).decode("ascii")
                yield row, f"data:{media_type};base64,{encoded}"
            else:
                name = f"{image_id}.{suffix}"
                with LocalStore(folder).creating(name) as out:
                    out.write(raw)
                yield row, f"{LOCAL_FILES}?d={quote(f'{folder.name}/{name}')}"


def _remote(row: Mapping[str, Any]) -> str:
    uri = row["source_uri"] or ""
    if not _REMOTE.match(uri) or "!" in uri:
        raise InputError(
            f"image {row['image_id'][:16]} comes from {shown(uri)}, which Label Studio cannot open;"
            " export with --image-as data or files"
        )
    return str(uri)
