"""Feature level: one vector from those of the frames of a clip.

Sources: Bargal et al., "Emotion recognition in the wild from videos using images", ICMI 2016, for mean, variance,
minimum and maximum over time, one after the other (their STAT encoding, without its normalisation, since the
classifier scales); Liu et al., ICMI 2014, section 2.1, for the linear subspace, the covariance matrix and the Gaussian,
whose geometry is in `ferkeras.aggregation.spd`.
Deviations: of the subspace the leading eigenvector alone; covariances are taken after a principal component analysis,
and their regularisation is the same for all clips, since the covariance of 16 frames in 512 dimensions is singular and
that of one frame is zero.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from ferkeras.aggregation.decision import require_a_frame
from ferkeras.aggregation.spd import embed_gaussian, log_euclidean
from ferkeras.errors import InputError

#: Added to the diagonal of every covariance, where the mean variance of a component over all frames is one.
REGULARISATION = 0.01


@dataclass(frozen=True)
class FrameBasis:
    """Principal components of the training frames, all divided by one number: their mean variance is one.

    Attributes:
        mean: (D,).
        axes: (D, d).
    """

    mean: np.ndarray
    axes: np.ndarray

    @staticmethod
    def fit(vectors: np.ndarray, mask: np.ndarray, *, components: int) -> "FrameBasis":
        """From vectors (N, T, D) where `mask` (N, T) is True; d is `components`, or less where there are not as many.

        Raises:
            InputError: for fewer than one component, or frames that are all alike.
        """
        frames = vectors[mask].astype(np.float64)
        if components < 1:
            raise InputError("There must be at least one component", received=components)
        found = PCA(min(components, *frames.shape), svd_solver="full").fit(frames)
        scale = np.sqrt(found.explained_variance_.mean()) if len(frames) > 1 else 0.0
        if not scale > 0:
            raise InputError("The vectors of all frames are alike", received=f"{len(frames)} frames")
        return FrameBasis(found.mean_, found.components_.T / scale)

    def project(self, frames: np.ndarray) -> np.ndarray:
        """(n, D) to (n, d)."""
        return (frames - self.mean) @ self.axes


def describe(vectors: np.ndarray, mask: np.ndarray, *, method: str, basis: FrameBasis | None = None) -> np.ndarray:
    """(N, T, D) vectors of frames to (N, F) of clips, by a key of `FEATURE_METHODS`.

    Args:
        vectors: Of the encoder.
        mask: (N, T) bool; frames that are False count for nothing.
        method: F is D for `mean`, `variance` (over n, zero of one frame), `min`, `max` and `eigenvector`, 4 D for
            `statistics`, d (d + 1) / 2 for `covariance` and (d + 1) (d + 2) / 2 for `gaussian`.
        basis: For `SPD_METHODS`.

    Raises:
        InputError: for another method, or a clip in which no frame is True.
        ValueError: for one of `SPD_METHODS` without a basis.
    """
    require_method(method)
    require_a_frame(mask)
    if method in SPD_METHODS and basis is None:
        raise ValueError(f"The method {method} needs a basis.")
    clips = (clip[valid].astype(np.float64) for clip, valid in zip(vectors, mask, strict=True))
    if basis is not None and method in SPD_METHODS:
        return np.stack([FEATURE_METHODS[method](basis.project(clip)) for clip in clips])
    return np.stack([FEATURE_METHODS[method](clip) for clip in clips])


def require_method(method: str) -> None:
    """Raises `InputError` for none of `FEATURE_METHODS`."""
    if method not in FEATURE_METHODS:
        known = ", ".join(FEATURE_METHODS)
        raise InputError("Unknown way to aggregate vectors", received=method, action=f"Known: {known}.")


def _statistics(frames: np.ndarray) -> np.ndarray:
    return np.concatenate([frames.mean(axis=0), frames.var(axis=0), frames.min(axis=0), frames.max(axis=0)])


def _eigenvector(frames: np.ndarray) -> np.ndarray:
    """Leading eigenvector of the second moment sum x x' / n, of length one; of its two signs that of the mean."""
    leading = np.linalg.svd(frames, full_matrices=False)[2][0]
    return leading if leading @ frames.mean(axis=0) >= 0 else -leading


def _regularised(frames: np.ndarray) -> np.ndarray:
    centred = frames - frames.mean(axis=0)
    return centred.T @ centred / len(frames) + REGULARISATION * np.eye(frames.shape[1])


def _covariance(frames: np.ndarray) -> np.ndarray:
    return log_euclidean(_regularised(frames))


def _gaussian(frames: np.ndarray) -> np.ndarray:
    return log_euclidean(embed_gaussian(frames.mean(axis=0), _regularised(frames)))


#: Name -> function of the valid frames (n, D), or of their components (n, d) for `SPD_METHODS`.
FEATURE_METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": lambda frames: frames.mean(axis=0),
    "variance": lambda frames: frames.var(axis=0),
    "min": lambda frames: frames.min(axis=0),
    "max": lambda frames: frames.max(axis=0),
    "statistics": _statistics,
    "eigenvector": _eigenvector,
    "covariance": _covariance,
    "gaussian": _gaussian,
}
#: Those over symmetric positive definite matrices, which need a `FrameBasis`.
SPD_METHODS: tuple[str, ...] = ("covariance", "gaussian")
