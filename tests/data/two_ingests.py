"""Two ingests of the same images at once, as tests of lakes on object stores ask of them."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from assay.data.sources.items import Item, SourceOptions
from assay.data.store.lake import Lake
from assay.tasks.batches import chunks
from assay.tasks.ingest import ingest_chunk
from assay.tasks.ingest_counts import IngestCounts


def require_each_stored_once(lake: Lake, items: Sequence[Item], options: SourceOptions) -> None:
    """Ingest ten different images in two batches at once; assert that each is stored once."""
    start = threading.Barrier(2)

    def work(batch_id: str) -> IngestCounts:
        own = Lake(lake.uri)
        start.wait()
        total = IngestCounts()
        for index, chunk in enumerate(chunks(items, max_items=5)):
            total += ingest_chunk(
                own,
                chunk,
                batch_id=batch_id,
                run_id=batch_id,
                chunk_index=index,
                options=options,
                n_workers=2,
            )
        return total

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(work, ["b-1", "b-2"])
    assert (one.items, two.items) == (10, 10)
    assert one.stored + two.stored == 10
    assert one.duplicates + two.duplicates == 10
    images = lake.scan("images").collect()
    assert images["image_id"].n_unique() == images.height == 10
    assert lake.scan("sightings").filter(status="stored").collect().height == 10
    assert sum(1 for _ in lake.images(images["image_id"].to_list())) == 10
