"""The image of a job: made by its method, then marked."""

from __future__ import annotations

import dataclasses

from ..job import Job
from ..marking import Mark, SourceType, marked
from ..threads import fixed_threads
from .protocol import FAKE, LAUNDERED, Made, Tools
from .registry import method_of


def make(job: Job, parent: bytes | None, tools: Tools, *, origin: str) -> Made:
    """Make the image of a job, encoded and marked.

    Args:
        job: Job of the image.
        parent: Encoded parent; None for methods without one.
        tools: Loaded models of the run.
        origin: Reference to the row, for the mark; equal for equal jobs, so that an image that is
            made again is the same file, byte for byte.

    Raises:
        SynthError: The image cannot be made; the message names the reason and the remedy.
        ConfigError: The method is unknown, or a C2PA certificate cannot be used.
    """
    method = method_of(job.method)
    with fixed_threads():
        made = method.make(job, method.settings_of(job.settings), parent, tools)
    source_type: SourceType | None = SourceType.MADE
    if made.label == LAUNDERED:
        # A photo that was only processed is not AI-generated, so its mark must not say so.
        source_type = None
    elif method.edits_parent and job.parent_label != FAKE:
        source_type = SourceType.EDITED
    mark = Mark(source_type=source_type, generator=made.generator or job.method, origin=origin)
    return dataclasses.replace(made, raw=marked(made.raw, mark))
