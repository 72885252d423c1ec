"""The queue of images to review: ranking, draws, serving."""

from .draws import Draw, Drawing
from .item import QueueItem
from .next_items import next_items

__all__ = ["Draw", "Drawing", "QueueItem", "next_items"]
