"""The steps of `flows.plain` as Prefect tasks, with the same names and signatures."""

from __future__ import annotations

from .. import plain
from ..process.prefect_home import settle_temporary_server
from .step_task import step_task

settle_temporary_server()

ingest = step_task(plain.ingest)
score = step_task(plain.score)
decide = step_task(plain.decide)
augment = step_task(plain.augment)
report = step_task(plain.report)
publish = step_task(plain.publish)
