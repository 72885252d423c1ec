"""A source: `example://N` gives N images that are made in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from assay.data.errors import InputError
from assay.data.sources.items import Item, SourceOptions

MAX_IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class ExampleAddress:
    """Where the bytes of one image are; small, picklable, and read from many threads."""

    number: int

    def read(self, options: SourceOptions) -> bytes:
        """Return the encoded image."""
        file = io.BytesIO()
        colour = (self.number % 256, self.number // 256 % 256, 128)
        Image.new("RGB", (32, 32), colour).save(file, "PNG")
        return file.getvalue()


class ExampleSource:
    """Reads `example://N`."""

    def check(self, text: str, options: SourceOptions) -> None:
        """Refuse a text that names nothing, before anything is ingested."""
        count = text.removeprefix("example://")
        if not count.isdecimal() or not 1 <= int(count) <= MAX_IMAGES:
            raise InputError(f"{text}: give a number from 1 to {MAX_IMAGES}, as in example://10")

    def items(self, text: str, options: SourceOptions) -> Iterator[Item]:
        """Yield one item per image, without reading any."""
        for number in range(int(text.removeprefix("example://"))):
            yield Item(
                source_uri=f"example://{number}",
                fingerprint="1",
                label="fake" if number % 2 else "real",
                domain=options.domain,
                address=ExampleAddress(number),
            )
