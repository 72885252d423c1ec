"""A source `example://N` of N images made in memory, every second one labelled fake."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Image

from assay.data.errors import InputError
from assay.data.sources.items import Item, SourceOptions
from assay.data.sources.labelling import tags_of
from assay.data.sources.protocol import SourceRef

MAX_IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class ExampleAddress:
    """The address of one image; small, picklable, and read from many threads."""

    number: int
    """Number of the image, from 0."""

    def read(self, options: SourceOptions) -> bytes:
        """Return the encoded image; `UnreadableImage` rejects it with a reason."""
        file = io.BytesIO()
        colour = (self.number % 256, self.number // 256, 128)
        Image.new("RGB", (32, 32), colour).save(file, "PNG")
        return file.getvalue()


class ExampleSource:
    """The source of `example://N`."""

    def check(self, ref: SourceRef, options: SourceOptions) -> None:
        """Refuse an address without a valid number, before anything is ingested."""
        count = ref.text.partition("://")[2]
        if not count.isdecimal() or not 1 <= int(count) <= MAX_IMAGES:
            raise InputError(f"{ref}: give a number from 1 to {MAX_IMAGES}, as in example://10")

    def items(self, ref: SourceRef, options: SourceOptions) -> Iterator[Item]:
        """Yield one item per image, without making any."""
        for number in range(int(ref.text.partition("://")[2])):
            # Applies --label-from, --domain and --domain-from, like the built-in sources.
            tags = tags_of(options, fields={"label": "ai" if number % 2 else "real"})
            yield Item(
                source_uri=f"example://{number}",
                fingerprint="1",
                label=tags.label,
                domain=tags.domain,
                note=tags.note,
                address=ExampleAddress(number),
            )
