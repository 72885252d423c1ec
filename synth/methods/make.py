"""One picture of one job: the method makes it, and the file says what it is."""

from __future__ import annotations

import dataclasses

from ..job import Job
from ..marking import Mark, SourceType, marked
from ..threads import fixed_threads
from .protocol import FAKE, LAUNDERED, Made, Tools
from .registry import method_of


def make(job: Job, parent: bytes | None, tools: Tools, *, origin: str) -> Made:
    """Make the picture of a job, encoded and marked.

    Args:
        job: What to make.
        parent: Encoded bytes of its parent; None for methods without one.
        tools: Where weights come from.
        origin: Written into the mark; the same for the same job, so that what is made again is
            the same to the byte.

    Raises:
        SynthError: It cannot be made; the message says why and what to do.
    """
    method = method_of(job.method)
    with fixed_threads():
        made = method.make(job, method.settings_of(job.settings), parent, tools)
    source_type: SourceType | None = SourceType.MADE
    if made.label == LAUNDERED:
        # A photo that was only saved again is not machine-made, and must not say so.
        source_type = None
    elif method.edits_parent and job.parent_label != FAKE:
        source_type = SourceType.EDITED
    mark = Mark(source_type=source_type, generator=made.generator or job.method, origin=origin)
    return dataclasses.replace(made, raw=marked(made.raw, mark))
