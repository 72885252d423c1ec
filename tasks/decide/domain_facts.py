"""How far images of a lake lie from the labelled images of a calibration."""

from __future__ import annotations

import numpy as np
import polars as pl

from ...data.score_key import ScoreKey
from ...data.store.lake import Lake
from ..embeddings.rows import embedded, embedded_of, embedding_batches
from ..latest_rows import Named, Part
from .calibration import Calibration

FACTS = {"image_id": pl.String, "domain_distance": pl.Float32, "p_domain": pl.Float32}
"""Columns of `domain_facts`."""


def domain_facts(
    lake: Lake, part: Part, domains: pl.DataFrame, key: ScoreKey, calibration: Calibration
) -> pl.DataFrame:
    """Return the distance of images to the labelled ones, and its p-value.

    Of several embeddings of an image under one key, which are equal but for rounding, the nearest
    counts, so that the order of the rows does not matter.

    Args:
        lake: Lake of the images.
        part: Part of the images.
        domains: Columns image_id and domain of the part.
        key: Key of the embeddings.
        calibration: Calibration with embeddings, made for this key.

    Returns:
        Columns of `FACTS`; images without an embedding are left out.

    Raises:
        StoreError: The lake cannot be read, or its embeddings have different lengths.
    """
    rows = (
        embedded_of(lake, key, part.ids)
        if isinstance(part, Named)
        else embedded(lake, key, part=part)
    )
    found = [pl.DataFrame(schema=FACTS)]
    named = domains.select("image_id", pl.col("domain").cast(pl.String))
    for ids, vectors in embedding_batches(rows):
        of_image = ids.to_frame().join(named, on="image_id", how="left", maintain_order="left")
        distances = np.full(len(ids), np.nan, np.float32)
        p_domain = np.full(len(ids), np.nan)
        for domain in of_image["domain"].unique():
            mine = of_image["domain"].eq_missing(domain).to_numpy()
            near = calibration.embeddings_for(domain)
            distances[mine] = near.distances(vectors[mine])
            p_domain[mine] = near.p_values(distances[mine])
        found.append(
            pl.DataFrame(
                {"image_id": ids, "domain_distance": distances, "p_domain": p_domain}, schema=FACTS
            )
        )
    nearest = pl.concat(found).sort("domain_distance")
    return nearest.unique("image_id", keep="first", maintain_order=True)
