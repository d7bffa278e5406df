"""Aggregation of frames: every formula by hand, and the same result for any order of the frames."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import scipy.linalg

from ferkeras.aggregation.decision import DECISION_METHODS, aggregate_probabilities
from ferkeras.aggregation.encoding import EncodedClips
from ferkeras.aggregation.feature import FEATURE_METHODS, REGULARISATION, SPD_METHODS, FrameBasis, describe
from ferkeras.aggregation.spd import embed_gaussian, log_euclidean
from ferkeras.errors import InputError
from tests.tiny_encoded import encoded

P = np.array([[[0.5, 0.5], [0.9, 0.1], [0.4, 0.6], [0.0, 1.0]]])
MASK = np.array([[True, True, True, False]])


def certainty(p: float) -> float:
    return 1 + p * np.log2(p) + (1 - p) * np.log2(1 - p)


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("mean", 1.8 / 3),
        ("weighted", (0.9 * certainty(0.9) + 0.4 * certainty(0.4)) / (certainty(0.9) + certainty(0.4))),
        ("max", 0.9 / 1.5),
        ("majority", (2 + 0.6) / 4),  # a tie within a frame goes to the first class
    ],
)
def test_probabilities_by_hand(method: str, first: float) -> None:
    np.testing.assert_allclose(aggregate_probabilities(P, MASK, method=method), [[first, 1 - first]])


def test_frames_that_know_nothing_weigh_alike() -> None:
    p = np.full((1, 3, 4), 0.25)
    np.testing.assert_allclose(aggregate_probabilities(p, np.ones((1, 3), bool), method="weighted"), p[:, 0])


def test_votes_decide_and_the_mean_decides_between_equals() -> None:
    """Two narrow votes beat a sure one; of one vote each the surer one wins."""
    narrow, sure = [0.51, 0.49, 0.0], [0.0, 1.0, 0.0]
    p = np.array([[narrow, narrow, sure], [[0.6, 0.4, 0.0], [0.1, 0.9, 0.0], sure]])
    mask = np.array([[True, True, True], [True, True, False]])
    assert aggregate_probabilities(p, mask, method="majority").argmax(axis=1).tolist() == [0, 1]
    assert aggregate_probabilities(p, mask, method="mean").argmax(axis=1).tolist() == [1, 1]


X = np.array([[[1.0, 2.0], [3.0, 6.0], [99.0, 99.0]]])
TWO = np.array([[True, True, False]])


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mean", [2, 4]),
        ("variance", [1, 4]),
        ("min", [1, 2]),
        ("max", [3, 6]),
        ("statistics", [2, 4, 1, 4, 1, 2, 3, 6]),
        ("eigenvector", np.array([1, 2]) / np.sqrt(5)),  # all frames lie on one line through 0
    ],
)
def test_vectors_by_hand(method: str, expected: Any) -> None:
    np.testing.assert_allclose(describe(X, TWO, method=method), [expected])
    np.testing.assert_allclose(describe(-X, TWO, method="eigenvector"), [-np.array([1, 2]) / np.sqrt(5)])


def test_the_leading_eigenvector_is_that_of_the_second_moment() -> None:
    frames = np.random.default_rng(0).normal(size=(1, 5, 4)) + 0.5
    found = describe(frames, np.ones((1, 5), bool), method="eigenvector")[0]
    moment = frames[0].T @ frames[0] / 5
    np.testing.assert_allclose(moment @ found, np.linalg.eigvalsh(moment)[-1] * found, atol=1e-12)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert found @ frames[0].mean(axis=0) > 0


def positive(*, size: int, count: int = 3) -> np.ndarray:
    a = np.random.default_rng(1).normal(size=(count, size, size))
    return a @ np.swapaxes(a, 1, 2) + 0.1 * np.eye(size)


def test_log_euclidean_against_scipy() -> None:
    matrices = positive(size=4)
    for matrix, vector in zip(matrices, log_euclidean(matrices), strict=True):
        expected = scipy.linalg.logm(matrix)
        upper = [expected[i, j] * (1 if i == j else np.sqrt(2)) for i in range(4) for j in range(i, 4)]
        np.testing.assert_allclose(vector, upper, atol=1e-10)
    distance = np.linalg.norm(scipy.linalg.logm(matrices[0]) - scipy.linalg.logm(matrices[1]))
    assert np.linalg.norm(log_euclidean(matrices[0]) - log_euclidean(matrices[1])) == pytest.approx(distance)


def test_log_euclidean_by_hand() -> None:
    np.testing.assert_allclose(log_euclidean(np.diag([np.e, 1.0])), [1, 0, 0], atol=1e-12)
    # [[5, 3], [3, 5]] has 8 along (1, 1) and 2 along (1, -1).
    half_sum, half_difference = np.log(8 * 2) / 2, np.log(8 / 2) / 2
    expected = [half_sum, np.sqrt(2) * half_difference, half_sum]
    np.testing.assert_allclose(log_euclidean(np.array([[5.0, 3.0], [3.0, 5.0]])), expected)


def test_embedding_of_a_gaussian() -> None:
    """By hand in one dimension; of determinant one and positive definite in more."""
    np.testing.assert_allclose(embed_gaussian(np.array([3.0]), np.array([[4.0]])), np.array([[13, 3], [3, 1]]) / 2)
    embedded = embed_gaussian(np.array([1.0, -2.0, 0.5]), positive(size=3, count=1)[0])
    assert np.linalg.det(embedded) == pytest.approx(1)
    assert np.linalg.eigvalsh(embedded).min() > 0


def test_the_basis_has_unit_mean_variance_and_is_that_of_the_valid_frames() -> None:
    clips = encoded().clips
    vectors = np.where(clips.mask[..., None], clips.vectors, 1e6)
    basis = FrameBasis.fit(vectors, clips.mask, components=4)
    frames = basis.project(vectors[clips.mask])
    covariance = np.cov(frames, rowvar=False)
    np.testing.assert_allclose(frames.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=1e-9)
    assert np.diag(covariance).mean() == pytest.approx(1)
    assert FrameBasis.fit(vectors, clips.mask, components=99).axes.shape == (6, 6)


@pytest.mark.parametrize("method", SPD_METHODS)
def test_covariance_and_gaussian_by_their_formulas(method: str) -> None:
    clips = encoded(2).clips
    basis = FrameBasis.fit(clips.vectors, clips.mask, components=3)
    for index, found in enumerate(describe(clips.vectors, clips.mask, method=method, basis=basis)):
        frames = basis.project(clips.vectors[index][clips.mask[index]])
        matrix = np.cov(frames, rowvar=False, bias=True) + REGULARISATION * np.eye(3)
        if method == "gaussian":
            matrix = embed_gaussian(frames.mean(axis=0), matrix)
        logarithm = scipy.linalg.logm(matrix)
        rows, columns = np.triu_indices(len(matrix))
        expected = logarithm[rows, columns] * np.where(rows == columns, 1, np.sqrt(2))
        np.testing.assert_allclose(found, expected, atol=1e-8)
    with pytest.raises(ValueError, match="needs a basis"):
        describe(clips.vectors, clips.mask, method=method)


def every_way(clips: EncodedClips) -> dict[str, np.ndarray]:
    """What each method makes of clips; the basis is always that of the same frames."""
    reference = encoded().clips
    basis = FrameBasis.fit(reference.vectors, reference.mask, components=4)
    assert clips.probabilities is not None
    ways = {f"p {m}": aggregate_probabilities(clips.probabilities, clips.mask, method=m) for m in DECISION_METHODS}
    return ways | {m: describe(clips.vectors, clips.mask, method=m, basis=basis) for m in FEATURE_METHODS}


def test_the_order_of_frames_and_what_is_masked_change_nothing() -> None:
    clips = encoded().clips
    assert clips.probabilities is not None
    order = np.random.default_rng(3).permutation(clips.mask.shape[1])
    junk = ~clips.mask[..., None]
    other = EncodedClips(
        np.where(junk, 1e3, clips.vectors)[:, order],
        np.where(junk, [1.0, 0.0, 0.0], clips.probabilities)[:, order],
        clips.mask[:, order],
    )
    before, after = every_way(clips), every_way(other)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-6, err_msg=name)


def test_a_single_frame_and_none() -> None:
    clips = encoded().clips
    mask = np.zeros_like(clips.mask)
    mask[:, 0] = True
    for name, found in every_way(dataclasses.replace(clips, mask=mask)).items():
        assert np.isfinite(found).all(), name
        assert len(found) == len(mask)
    mask[7] = False
    assert clips.probabilities is not None
    for method in DECISION_METHODS:
        with pytest.raises(InputError, match=r"needs a frame with a face\. Received: none in clip 7 of 24"):
            aggregate_probabilities(clips.probabilities, mask, method=method)
    for method in FEATURE_METHODS:
        with pytest.raises(InputError, match="needs a frame with a face"):
            describe(clips.vectors, mask, method=method)
