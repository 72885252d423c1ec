"""The verbs of `assay review`."""

from __future__ import annotations

from cyclopts import App

from .add import add
from .appeal import appeal
from .export import export
from .golden import golden
from .import_ import import_
from .label_studio import label_studio
from .next_ import next_
from .regressions import regressions
from .serve import serve
from .stats import stats
from .undo import undo

review = App(name="review", help="Record, exchange and measure people's answers about images.")
review.command(next_, name="next")
review.command(import_, name="import")
for verb in (serve, add, undo, export, label_studio, stats, regressions, golden, appeal):
    review.command(verb)
