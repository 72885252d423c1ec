"""Nearest neighbours on arrays, against scikit-learn, SciPy and Python's own integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import rankdata
from sklearn.neighbors import NearestNeighbors

from assay.tasks.embeddings.neighbours import (
    competition_ranks,
    cosine_similarities,
    fuse_ranks,
    hamming_distances,
    recall,
    smallest,
    unit_rows,
)

HASHES = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_by_cosine_are_those_of_scikit_learn(seed):
    """Order and similarity equal a brute-force search by somebody else's code."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((300, 24)).astype(np.float32) * rng.uniform(0.01, 100, (300, 1))
    vectors = vectors.astype(np.float32)
    query = rng.standard_normal(24).astype(np.float32)
    theirs = NearestNeighbors(n_neighbors=20, metric="cosine", algorithm="brute").fit(vectors)
    distances, rows = theirs.kneighbors(query[None])
    cosines = cosine_similarities(query, vectors)
    ours = smallest(-cosines, 20)
    assert ours.tolist() == rows[0].tolist()
    np.testing.assert_allclose(cosines[ours], 1 - distances[0], atol=1e-6)


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 12), st.integers(1, 8)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)
def test_cosines_lie_between_minus_one_and_one_and_a_row_is_nearest_to_itself(vectors):
    """Whatever the rows, none is nearer to a row than that row, and rows of zeros have 0."""
    for number, row in enumerate(vectors):
        cosines = cosine_similarities(row, vectors)
        assert (np.abs(cosines) <= 1).all()
        if np.linalg.norm(row) > 1e-6:
            assert cosines[number] == pytest.approx(1, abs=1e-5)
            assert cosines[number] >= cosines.max() - 1e-5
        elif not row.any():
            assert not cosines.any()


def test_rows_without_a_finite_length_become_zeros():
    """A damaged embedding is near nothing, and spoils no other row."""
    rows = np.array([[3, 4], [np.nan, 1], [np.inf, 1], [0, 0]], np.float32)
    assert unit_rows(rows).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]] + [[0, 0]] * 3


@given(HASHES, st.lists(HASHES, max_size=20))
def test_hamming_distance_is_the_bit_count_of_the_exclusive_or(query, hashes):
    """Equal to what Python counts in whole numbers."""
    found = hamming_distances(query, np.array(hashes, np.uint64))
    assert found.tolist() == [(query ^ value).bit_count() for value in hashes]


@given(st.lists(st.integers(0, 6), max_size=40), st.integers(0, 50))
def test_the_smallest_are_the_beginning_of_a_stable_sort(values, k):
    """Ties go to the earlier position, and a `k` beyond the end gives all."""
    expected = sorted(range(len(values)), key=lambda position: (values[position], position))[:k]
    assert smallest(np.array(values, np.int64), k).tolist() == expected


@given(st.lists(st.integers(0, 9), max_size=30).map(sorted))
def test_equal_values_share_the_first_rank(values):
    """As SciPy's rankdata by the method `min`."""
    expected = rankdata(values, method="min").astype(int).tolist() if values else []
    assert competition_ranks(values) == expected


def test_fusion_adds_reciprocal_ranks():
    """1/61 + 1/62 beats 1/61 alone, which beats 1/62; equal sums go by name."""
    fused = fuse_ranks([{"a": 1, "b": 2, "z": 3}, {"b": 1, "c": 2, "y": 3}])
    assert list(fused) == ["b", "a", "c", "y", "z"]
    assert fused["b"] == pytest.approx(1 / 61 + 1 / 62)
    assert fused["z"] == pytest.approx(1 / 63)


@given(st.permutations("abcdefgh"), st.permutations("abcdefgh"))
def test_fusion_of_a_ranking_with_itself_is_that_ranking(names, others):
    """Agreement is kept, and the order of the rankings does not matter."""
    first = {name: rank for rank, name in enumerate(names, start=1)}
    second = {name: rank for rank, name in enumerate(others, start=1)}
    assert list(fuse_ranks([first, first])) == list(names)
    assert fuse_ranks([first, second]) == pytest.approx(fuse_ranks([second, first]))


def test_recall_counts_what_is_as_near_as_the_last_true_neighbour():
    """Two of three, then all three although a tie was resolved otherwise; missing ones miss."""
    true = np.array([[0.9, 0.8, 0.7]] * 3)
    found = np.array([[0.9, 0.7, 0.6], [0.9, 0.7, 0.7], [0.9, np.nan, np.nan]])
    assert recall(found[:1], true[:1]) == pytest.approx(2 / 3)
    assert recall(found[1:2], true[1:2]) == 1
    assert recall(found, true) == pytest.approx((2 + 3 + 1) / 9)
