"""Symmetric positive definite matrices as vectors: the log-Euclidean map, and the embedding of a Gaussian.

Sources: Arsigny et al., "Geometric means in a novel vector space structure on symmetric positive-definite matrices",
SIAM Journal on Matrix Analysis 2007, for the map; Lovric et al., "Multivariate normal distributions parametrized as a
Riemannian symmetric space", Journal of Multivariate Analysis 2000, for the embedding. Liu et al., "Combining multiple
kernel methods on Riemannian manifold for emotion recognition in the wild", ICMI 2014, use both on frames of AFEW.
"""

import numpy as np


def log_euclidean(matrices: np.ndarray) -> np.ndarray:
    """(..., d, d) symmetric positive definite to (..., d (d + 1) / 2): the upper triangle of the matrix logarithm.

    What lies off the diagonal is multiplied by sqrt(2), so that the distance of two vectors is the Frobenius distance
    of the two logarithms.
    """
    values, axes = np.linalg.eigh(matrices)
    logarithm = (axes * np.log(values)[..., None, :]) @ np.swapaxes(axes, -1, -2)
    rows, columns = np.triu_indices(matrices.shape[-1])
    return logarithm[..., rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))


def embed_gaussian(mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """The (d+1, d+1) matrix of determinant one that stands for N(mean (d,), covariance (d, d)).

    |S|^(-1/(d+1)) [[S + m m', m], [m', 1]], Lovric et al., section 3, and Liu et al., section 2.1.3.
    """
    d = len(mean)
    matrix = np.block([[covariance + np.outer(mean, mean), mean[:, None]], [mean[None, :], np.ones((1, 1))]])
    return matrix * np.exp(-np.linalg.slogdet(covariance)[1] / (d + 1))
