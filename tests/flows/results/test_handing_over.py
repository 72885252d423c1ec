"""Rows and embeddings go to other programs in the two lines that the pages show."""

from pathlib import Path

import factories
import numpy as np
import pytest

import assay


def test_embedding_atlas_takes_the_rows_and_their_embeddings(tmp_path: Path) -> None:
    """A point for each row with an embedding, named by its row; run where it is installed."""
    projection = pytest.importorskip("embedding_atlas.projection")
    widget = pytest.importorskip("embedding_atlas.widget")
    images = [np.asarray(factories.photo(seed=seed)) for seed in range(24)]
    result = assay.moderate([*images, None], lake=tmp_path / "lake", detector="mini", quiet=True)
    rows = result.to_polars(embeddings=True).drop_nulls("embedding")
    points = projection.compute_projection(
        rows, inputs="embedding", modality="vector", cache_root=tmp_path
    )
    shown = widget.EmbeddingAtlasWidget(
        points, x="projection_x", y="projection_y", neighbors="neighbors"
    )
    assert shown.selection()["row"].to_list() == list(range(24))
