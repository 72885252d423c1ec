"""The shortcut measure: chance without a difference of the files, near 1 with one."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from assay.tasks.shortcuts.aligned import SIDE_PX, aligned
from assay.tasks.shortcuts.measure import GATE_AUC, auc, measure_shortcut


def rows(n: int, *, more_bytes: float = 0.0, per_group: int = 1, seed: int = 0) -> pl.DataFrame:
    """Half fakes; their files are larger by a number of standard deviations."""
    rng = np.random.default_rng(seed)
    is_fake = np.arange(n) // per_group % 2 == 1
    return pl.DataFrame(
        {
            "n_bytes": (200_000 + 30_000 * (rng.normal(size=n) + more_bytes * is_fake)).astype(int),
            "width_px": [1024] * n,
            "height_px": [768] * n,
            "jpeg_quality": pl.Series([None, 90, 90, None] * (n // 4), dtype=pl.Int32),
            "format": ["JPEG"] * n,
            "group_id": [f"g{i // per_group}" for i in range(n)],
            "is_fake": is_fake,
        }
    )


def test_equal_files_are_at_chance_and_pass_the_gate() -> None:
    """Of 12 datasets of equal files none has a lower limit above 0.6."""
    found = [measure_shortcut(rows(100, seed=seed)) for seed in range(12)]
    assert not [one for one in found if one is None or one.low > GATE_AUC]


def test_larger_files_of_one_class_are_found() -> None:
    """Two standard deviations apart, the best classifier by size has an AUC of 0.92."""
    found = measure_shortcut(rows(400, more_bytes=2))
    assert found is not None
    assert found.value == pytest.approx(0.92, abs=0.06)
    assert found.low > GATE_AUC


def test_another_format_alone_is_found() -> None:
    """All reals JPEG, all fakes PNG."""
    table = rows(100).with_columns(
        format=pl.when("is_fake").then(pl.lit("PNG")).otherwise(pl.lit("JPEG"))
    )
    found = measure_shortcut(table)
    assert found is not None
    assert found.value > 0.99


def test_copies_in_a_group_do_not_make_a_figure() -> None:
    """200 images in 20 groups per class are too few groups, whatever their number."""
    assert measure_shortcut(rows(400, per_group=10, more_bytes=3)) is None


def test_area_under_the_curve_agrees_with_scikit_learn() -> None:
    """With ties, too."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, 200).astype(float)
    is_fake = rng.uniform(size=200) < 0.3
    assert auc(scores, is_fake) == pytest.approx(roc_auc_score(is_fake, scores))


@pytest.mark.parametrize("size", [(900, 500), (100, 300), (384, 384)])
def test_aligned_images_have_one_size_and_one_encoding(size: tuple[int, int]) -> None:
    """Whatever they were, the files differ in their content only."""
    out = io.BytesIO()
    Image.new("RGB", size, (10, 200, 30)).save(out, "PNG")
    raw = aligned(out.getvalue())
    assert raw is not None
    with Image.open(io.BytesIO(raw)) as image:
        assert (image.format, image.size, image.getexif()) == ("JPEG", (SIDE_PX, SIDE_PX), {})
        assert image.getpixel((0, 0)) == pytest.approx((10, 200, 30), abs=3)


def test_what_is_no_image_is_not_aligned() -> None:
    """It is left to the caller to say so."""
    assert aligned(b"text") is None
