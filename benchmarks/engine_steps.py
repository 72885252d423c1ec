"""Steps of no or known cost for benchmarks/engines.py, importable by the workers."""

from __future__ import annotations

import time

from assay.data.store.lake import Lake
from assay.flows.engines.placing import placed
from assay.flows.request import Request


@placed()
def nothing(_lake: Lake, _request: Request, _run_id: str, _shard: str, image_ids: list[str]) -> int:
    """Return at once."""
    return len(image_ids)


@placed()
def a_second_of_cpu(
    _lake: Lake, _request: Request, _run_id: str, _shard: str, image_ids: list[str]
) -> int:
    """Use one second of one core, whatever else the machine does."""
    end_s = time.thread_time() + 1.0
    while time.thread_time() < end_s:
        pass
    return len(image_ids)
