"""`assay audit`: the application and its verbs."""

from __future__ import annotations

from cyclopts import App

from ..review.import_ import import_
from .draw import draw
from .drift import drift
from .report import report

audit = App(
    name="audit",
    help="Draw random samples of decisions, estimate what is missed, and detect drift.",
)
audit.command(draw)
audit.command(drift)
# Answers about drawn images are answers like all others.
audit.command(import_, name="import")
audit.command(report)
