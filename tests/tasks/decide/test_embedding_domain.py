"""Distance to labelled images: by hand, against scikit-learn, and at most the stated share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.neighbors import NearestNeighbors

from assay.tasks.decide.embedding_domain import MAX_IMAGES, domain_of, fake_p_values

NO_FAKES = np.empty((0, 0), np.float32)


def turned(*degrees: float) -> np.ndarray:
    """Return vectors of the plane at some angles."""
    radians = np.deg2rad(np.array(degrees))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_p_value_counts_the_reals_that_are_as_far_from_the_others() -> None:
    """Reals at 0, 10, 30 and 60 degrees are 10, 10, 20 and 30 degrees from the others."""
    domain = domain_of(3 * turned(0, 10, 30, 60), NO_FAKES)
    assert domain is not None
    expected = 1 - np.cos(np.deg2rad([10, 10, 20, 30]))
    assert domain.real_distances == pytest.approx(expected, abs=1e-6)
    distances = domain.distances(5 * turned(5, 75, 85, -100))
    assert distances == pytest.approx(1 - np.cos(np.deg2rad([5, 15, 25, 100])), abs=1e-6)
    assert domain.p_values(distances).tolist() == [5 / 5, 3 / 5, 2 / 5, 1 / 5]


def test_labelled_fakes_are_near_too_and_are_no_part_of_the_reals() -> None:
    """A fake at 100 degrees makes an image beside it a near one; reals alone are counted."""
    with_fake, without = (domain_of(turned(0, 40), fakes) for fakes in (turned(100, 0), NO_FAKES))
    assert with_fake is not None
    assert without is not None
    image = turned(99)
    assert with_fake.p_values(with_fake.distances(image)).tolist() == [2 / 3]
    assert without.p_values(without.distances(image)).tolist() == [1 / 3]
    assert fake_p_values(with_fake).tolist() == [1 / 3, 1.0]


def test_distances_are_those_of_scikit_learn() -> None:
    """Random embeddings, more images than are compared at a time."""
    rng = np.random.default_rng(0)
    reals, fakes, images = (rng.normal(size=(n, 16)).astype(np.float32) for n in (300, 100, 5_000))
    domain = domain_of(reals, fakes)
    assert domain is not None
    search = NearestNeighbors(n_neighbors=2, metric="cosine").fit(np.concatenate([reals, fakes]))
    nearest = search.kneighbors(images)[0]
    assert domain.distances(images) == pytest.approx(nearest[:, 0], abs=1e-5)
    others = np.sort(search.kneighbors(reals)[0][:, 1])
    assert domain.real_distances == pytest.approx(others, abs=1e-5)


def test_at_most_the_level_of_reals_are_called_unlike() -> None:
    """Over 400 draws of 39 reals and one more, at most 5 % and three standard errors."""
    rng = np.random.default_rng(1)
    out = 0
    for _ in range(400):
        drawn = rng.standard_t(3, size=(50, 4)).astype(np.float32)
        domain = domain_of(drawn[:39], drawn[40:])
        assert domain is not None
        out += bool(domain.p_values(domain.distances(drawn[39:40]))[0] <= 0.05)
    assert out <= binom.ppf(0.999, 400, 0.05)
    assert out > 0


def test_of_many_images_the_first_are_compared_with() -> None:
    """Memory and time do not grow with the labels; one real has no other to be far from."""
    many = np.random.default_rng(2).normal(size=(MAX_IMAGES + 5, 3)).astype(np.float32)
    domain = domain_of(many, many)
    assert domain is not None
    assert (len(domain.references), len(domain.real_distances)) == (2 * MAX_IMAGES, MAX_IMAGES)
    assert domain_of(many[:1], many) is None


def test_an_embedding_of_zeros_or_nan_is_far_from_all() -> None:
    """No direction, so the cosine counts as 0."""
    domain = domain_of(turned(0, 1, 2), NO_FAKES)
    assert domain is not None
    broken = np.array([[0, 0], [np.nan, 1]], np.float32)
    assert domain.distances(broken).tolist() == [1.0, 1.0]
