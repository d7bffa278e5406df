"""Whether maps depend on what a network has learned: they must change when its weights are randomised."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import cv2
import keras
import numpy as np

#: Makes maps (B, [T,] H, W) of a network.
MapsOf = Callable[[keras.Model], np.ndarray]


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers that have weights, from the input to the outputs, those within models and wrappers of their own."""
    found: list[keras.layers.Layer] = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += weighted_layers(layer)
        elif layer.weights:
            found.append(layer)
    return found


@contextmanager
def randomised(layers: Sequence[keras.layers.Layer], *, seed: int = 0) -> Iterator[None]:
    """Within the block the weights of `layers` are shuffled: each array keeps its values and loses their order.

    Deviation from Adebayo et al., who draw from the first distribution of the weights: shuffled ones have the size of
    the trained ones, so that the network neither falls silent nor saturates, and variances stay above 0.
    """
    kept = [layer.get_weights() for layer in layers]
    random = np.random.default_rng(seed)
    try:
        for layer, weights in zip(layers, kept, strict=True):
            layer.set_weights([random.permutation(weight.reshape(-1)).reshape(weight.shape) for weight in weights])
        yield
    finally:
        for layer, weights in zip(layers, kept, strict=True):
            layer.set_weights(weights)


def sanity_check(model: keras.Model, maps_of: MapsOf, *, stages: int = 6, seed: int = 0) -> list[dict[str, Any]]:
    """How alike maps stay while the network is randomised from the outputs down, layer after layer.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3, cascading randomisation; the
    last stage is the randomisation of all layers at once. A map that stays as it was shows the picture, and not what
    the network learned.

    Args:
        model: Its weights are the same again at the end.
        maps_of: Explains always the same inputs and target, in [0, 1].
        stages: Of the cascade, at equal numbers of layers.
        seed: Of the shuffling.

    Returns:
        For each stage `layers`, how many are randomised, `down_to`, the name of the last of them, and the similarity
        to the maps of the trained network, means over the examples: `rank_correlation` (Spearman) and `ssim`.
    """
    layers = weighted_layers(model)[::-1]
    before = maps_of(model)
    counts = sorted({max(1, round(stage * len(layers) / stages)) for stage in range(1, stages + 1)})
    rows = []
    for count in counts:
        with randomised(layers[:count], seed=seed):
            after = maps_of(model)
        pairs = list(zip(before, after, strict=True))
        rows.append(
            {
                "layers": count,
                "down_to": layers[count - 1].name,
                "rank_correlation": float(np.mean([rank_correlation(*pair) for pair in pairs])),
                "ssim": float(np.mean([ssim(*pair) for pair in pairs])),
            }
        )
    return rows


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's, in [-1, 1]; 0 where one of the maps is the same throughout."""
    from scipy.stats import spearmanr

    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second, axis=None).statistic)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Structural similarity of maps ([T,] H, W) in [0, 1]: the mean over their places.

    Source: Wang et al., "Image quality assessment", IEEE Transactions on Image Processing 2004, equation 13, with its
    Gaussian of 1.5 pixels and constants.
    """

    def smooth(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT)

    found = []
    for a, b in zip(first.reshape(-1, *first.shape[-2:]), second.reshape(-1, *second.shape[-2:]), strict=True):
        x, y = a.astype(np.float64), b.astype(np.float64)
        mean_x, mean_y = smooth(x), smooth(y)
        variance = smooth(x * x) - mean_x**2 + smooth(y * y) - mean_y**2
        covariance = smooth(x * y) - mean_x * mean_y
        c1, c2 = 0.01**2, 0.03**2
        alike = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        found.append(np.mean(alike / ((mean_x**2 + mean_y**2 + c1) * (variance + c2))))
    return float(np.mean(found))
