"""Progress bars in a terminal and in the cells of a notebook; nothing is shown elsewhere."""

from .bars import Bars
from .cell_bars import CellBars
from .shown import for_terminal, say
from .watcher import Both, Silent, Watcher, current, watched

__all__ = [
    "Bars",
    "Both",
    "CellBars",
    "Silent",
    "Watcher",
    "current",
    "for_terminal",
    "say",
    "watched",
]
